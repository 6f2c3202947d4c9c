/**
 * Addresses of 127.0.0.0/8 that programs listen on: Linux and Windows answer for all of them, macOS only for those that
 * were given to its loopback interface.
 */
import { runProgram } from './programs.ts'
import { system } from './system.ts'

/** May be repeated; other addresses are left alone. */
export async function loopbackAlias(action: 'add' | 'remove', address: string): Promise<void> {
  if (system !== 'macos' || !address.startsWith('127.') || address === '127.0.0.1') return
  const change = action === 'add' ? ['alias', address, '255.255.255.255'] : ['-alias', address]
  await runProgram('/sbin/ifconfig', ['lo0', ...change], { accept: action === 'add' ? 'zero' : 'any' })
}
