// The namespace `fft`.

export * from './fft.ts';
export { istft, type StftOptions, stft } from './stft.ts';
