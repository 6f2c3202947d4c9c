/** Becomes another program, where the system can; else runs it with this process's terminal and takes its exit code. */
import { spawnSync } from 'node:child_process'
import { system } from './system.ts'

const EXIT_BY_SIGNAL = 128

/** Does not return where a process can be replaced. `env` is the whole environment. */
export function replaceProcess(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): number {
  const execve = system === 'windows' ? undefined : process.execve
  if (execve !== undefined) return execve.call(process, program, [program, ...args], { ...env }) as never
  const { status, error } = spawnSync(program, args, { env: { ...env }, stdio: 'inherit' })
  if (error !== undefined) throw error
  return status ?? EXIT_BY_SIGNAL
}
