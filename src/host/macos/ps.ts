/** What `ps` and `sysctl` of macOS say of processes (pure), and asking them. */

const ASK_MS = 5_000
/** The C locale and one time zone, so that the words and the times are always the same. */
const ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/bin:/bin:/usr/sbin:/sbin' }

/** Of `ps -o stat=,lstart= -p PID`: `Ss   Mon Nov 23 07:20:10 2026`. Undefined for a zombie and for nobody. */
export function parseStart(output: string): string | undefined {
  const [, state = '', start] = /^\s*(\S+)\s+(\S.*\S)\s*$/m.exec(output) ?? []
  return state.startsWith('Z') || start === undefined ? undefined : start.replaceAll(/\s+/g, '-')
}

/** Of `ps -axEww -o pid=,sess=,command=`: the processes whose environment has the entry, which stands behind the words. */
export function parseMarked(output: string, entry: string): number[] {
  return output
    .split('\n')
    .filter(line => line.split(' ').includes(entry))
    .map(line => Number.parseInt(line, 10))
    .filter(pid => pid > 0)
}

export const startOf = (pid: number): string | undefined =>
  parseStart(ask('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]))

export const markedWith = (entry: string): number[] =>
  parseMarked(ask('ps', ['-axEww', '-o', 'pid=,command=']), entry)

let boot: string | undefined

/** Changes with every boot. */
export function bootSession(): string {
  boot ??= ask('sysctl', ['-n', 'kern.bootsessionuuid']).trim()
  return boot
}

/** The module is loaded only there, because every command of every system comes through this file. */
function ask(program: string, args: readonly string[]): string {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const { stdout } = spawnSync(program, args, {
    env: ENVIRONMENT,
    encoding: 'utf8',
    timeout: ASK_MS,
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout ?? ''
}
