/** Makes names and files durable. Windows has no flush of a directory: there its file system's journal keeps the names. */
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { system } from './system.ts'

/** What a directory says about its entries is on the disk. */
export async function flushDirectory(path: string): Promise<void> {
  if (system === 'windows') return
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export function flushDirectorySync(path: string): void {
  if (system !== 'windows') flushSync(path, 'r')
}

/** Of a file that somebody else wrote. Only who may write to it may flush it on Windows. */
export const flushFileSync = (path: string): void => flushSync(path, 'r+')

function flushSync(path: string, flags: 'r' | 'r+'): void {
  const descriptor = openSync(path, flags)
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
