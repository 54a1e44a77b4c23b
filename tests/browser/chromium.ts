// A Chromium that comes as an npm package, for tests of pages. Absent where the package has none for the platform.

import chromium from '@sparticuz/chromium';
import { type Browser, type BrowserContext, type Page, chromium as playwright } from 'playwright-core';

/** Arguments with which the browser has WebGPU, on its software GPU, which compiles some kernels very slowly with zeros. */
export const withWebGpu = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-dawn-features=disable_workgroup_init',
];

/** Starts the browser; the reason when it cannot be had here. */
export async function startBrowser(args: readonly string[] = []): Promise<Browser | string> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `no browser for ${process.platform}-${process.arch}`;
  try {
    const executablePath = await chromium.executablePath();
    return await playwright.launch({ executablePath, args: ['--no-sandbox', ...args], headless: true });
  } catch (error) {
    return `the browser does not start: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** Lets a page wait as long as its test may: a busy machine compiles kernels for minutes. */
export function patient<Waits extends BrowserContext | Page>(page: Waits): Waits {
  page.setDefaultTimeout(0);
  return page;
}
