// Entry of `ingot/array`: the array library, and the devices that Node has.

export { type DeviceName, type OpenDeviceOptions, openDevice } from '../device/open.ts';
export * from './checked/index.ts';
export { load, save, saveSafetensors, savez, savezCompressed } from './files/node.ts';
