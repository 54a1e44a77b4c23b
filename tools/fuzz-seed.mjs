// Random tests are the same in every run, so that a change is what fails them. `FUZZ_SEED=random` (or a number) looks elsewhere;
// a failure prints the seed it had.
import fc from 'fast-check';

const seed = process.env.FUZZ_SEED ?? '1';
fc.configureGlobal(seed === 'random' ? {} : { seed: Number(seed) });
