// The namespace `linalg`.

export {
  cholesky,
  choleskyInv,
  det,
  eigh,
  eigvalsh,
  inv,
  lu,
  matrixPower,
  matrixRank,
  pinv,
  qr,
  slogdet,
  solve,
  solveTriangular,
  svd,
} from './decompositions.ts';
export { cross, type NormOrder, norm } from './linear-algebra.ts';
