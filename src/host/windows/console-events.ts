/** Asks programs of Windows to end: what CTRL+BREAK does to all that share a console. */
import { loadLibrary } from '../native.ts'

const CTRL_C = 0
const CTRL_BREAK = 1

type Calls = ReturnType<typeof bind>
let calls: Calls | undefined

function bind() {
  const kernel = loadLibrary('kernel32.dll')
  // Whoever sends such an event gets it as well: listened to, it ends nobody.
  for (const name of ['SIGINT', 'SIGBREAK'] as const) process.on(name, () => {})
  return {
    attach: kernel.getFunction('AttachConsole', { arguments: ['u32'], return: 'i32' }),
    free: kernel.getFunction('FreeConsole', { arguments: [], return: 'i32' }),
    send: kernel.getFunction('GenerateConsoleCtrlEvent', { arguments: ['u32', 'u32'], return: 'i32' }),
  }
}

/** To the process and all others on its console; false when it has none. Only for a process that has none of its own. */
export function sendConsoleEvent(pid: number, event: 'interrupt' | 'break'): boolean {
  calls ??= bind()
  calls.free()
  if (calls.attach(pid) === 0) return false
  const sent = calls.send(event === 'break' ? CTRL_BREAK : CTRL_C, 0) !== 0
  calls.free()
  return sent
}
