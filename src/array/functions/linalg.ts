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
export { eig, eigvals } from './eigenvalues.ts';
export {
  cross,
  type NormOrder,
  norm,
  outer,
  product as matmul,
  tensordot,
  vecdot,
} from './linear-algebra.ts';
export { matrixTranspose } from './numpy.ts';
export { diagonal, trace } from './shape.ts';
export {
  choleskySolve,
  cond,
  logdet,
  lstsq,
  luFactor,
  luSolve,
  matrixExp,
  matrixNorm,
  multiDot,
  svdvals,
  tensorinv,
  tensorsolve,
  triInv,
  vectorNorm,
} from './systems.ts';
