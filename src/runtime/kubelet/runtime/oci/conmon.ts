/**
 * Starts containers through conmon, which holds a container's output and input, writes its log, and leaves its exit
 * code in a file. It goes on when the daemon ends.
 */
import { closeSync, openSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import { reportBriefly, runBriefly } from '../../../../host/brief-programs.ts'
import { identifyProcess, type ProcessIdentity } from '../../../../host/processes.ts'
import { spawnDetached } from '../../../../host/programs.ts'
import { processesIn, removePodCgroup } from '../cri/pod-cgroups.ts'
import { containerFiles } from './oci-paths.ts'

export interface ConmonParts {
  readonly id: string
  /** The container's. */
  readonly directory: string
  readonly exits: string
  readonly logPath: string
  readonly runtime: OciProgram
  readonly conmon: string
  readonly tty: boolean
  readonly stdin: boolean
  readonly stdinOnce: boolean
}

/** crun or runc, with the directory that it remembers its containers in. */
export interface OciProgram {
  readonly path: string
  readonly state: string
}

export interface Conmon {
  readonly conmon: ProcessIdentity | null
  readonly init: ProcessIdentity | null
}

const CREATE_MS_MAX = 120_000
const PROGRAM_MS_MAX = 60_000
/**
 * What it needs to find others; nothing of the daemon's own environment. Programs in Go that live for milliseconds
 * spend much of that on threads and on collecting garbage, which these settings save.
 */
export const PROGRAM_ENVIRONMENT = {
  ...{ GOMAXPROCS: '1', GOGC: 'off', GOMEMLIMIT: '64MiB' },
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
}

/** The container is there when this returns, and waits to be started. */
export async function createWithConmon(parts: ConmonParts): Promise<Conmon> {
  const { directory } = parts
  const files = containerFiles(directory)
  const said = await reportBriefly(parts.conmon, conmonArguments(parts), {
    cwd: directory,
    env: PROGRAM_ENVIRONMENT,
    reportTo: '_OCI_SYNCPIPE',
    timeoutMs: CREATE_MS_MAX,
  })
  const pid = pidIn(said, parts.runtime.path)
  const conmonPid = Number(await readFile(files.conmonPid, 'utf8').catch(() => ''))
  return { conmon: identifyProcess(conmonPid) ?? null, init: identifyProcess(pid) ?? null }
}

function conmonArguments({ id, directory, runtime, ...parts }: ConmonParts): string[] {
  const files = containerFiles(directory)
  return [
    ...['--api-version', '1', '--cid', id, '--cuuid', id, '--name', id],
    ...['--runtime', runtime.path, '--runtime-arg=--root', `--runtime-arg=${runtime.state}`],
    ...['--bundle', directory, '--container-pidfile', files.pid, '--conmon-pidfile', files.conmonPid],
    ...['--log-path', `k8s-file:${parts.logPath}`, '--exit-dir', parts.exits, '--persist-dir', directory],
    '--full-attach',
    ...(parts.tty ? ['--terminal'] : []),
    ...(parts.stdin ? ['--stdin'] : []),
    ...(parts.stdin && !parts.stdinOnce ? ['--leave-stdin-open'] : []),
  ]
}

function pidIn(said: string, program: string): number {
  let report: { data?: number; message?: string } = {}
  try {
    report = JSON.parse(said.split('\n')[0] ?? '')
  } catch {
    // It ended without a word.
  }
  if (report.data !== undefined && report.data > 0) return report.data
  const why = plainly((report.message ?? '').trim()) || 'no reason given'
  throw new Mk8sError('kubelet/runtime', `failed to create container: OCI runtime create failed: ${why}`, {
    fields: { program },
  })
}

/** runc's own log, `time="…" level=error msg="…"`, or what it or another program says in plain words. */
function plainly(said: string): string {
  const quoted = /\bmsg=("(?:[^"\\]|\\.)*")/.exec(said)?.[1]
  if (quoted === undefined) return said
  try {
    return JSON.parse(quoted) as string
  } catch {
    return said
  }
}

export async function callProgram(program: OciProgram, args: readonly string[]): Promise<void> {
  const ran = await runBriefly(program.path, ['--root', program.state, ...args], {
    timeoutMs: PROGRAM_MS_MAX,
    cleanEnvironment: true,
    env: PROGRAM_ENVIRONMENT,
  })
  if (ran.exitCode === 0) return
  const why = ran.stderr.trim() || `exit code ${ran.exitCode}`
  throw new Mk8sError('kubelet/runtime', `OCI runtime ${args[0]} failed: ${why}`)
}

/**
 * Without a monitor. The new container keeps the outputs that it is given, which therefore are a file: of a pipe,
 * nobody would see the end.
 */
export async function createDirectly(
  program: OciProgram,
  bundle: string,
  { id, pidFile }: { readonly id: string; readonly pidFile: string },
): Promise<void> {
  const path = join(bundle, 'create.log')
  const output = openSync(path, 'w', 0o600)
  try {
    const args = ['--root', program.state, 'create', '--bundle', bundle, '--pid-file', pidFile, id]
    const stdio = ['ignore' as const, output, output]
    const { exited } = await spawnDetached(program.path, args, { env: PROGRAM_ENVIRONMENT, stdio })
    const { code } = await exited
    if (code === 0) return
    const why = (await readFile(path, 'utf8')).trim() || `exit code ${code}`
    throw new Mk8sError('kubelet/runtime', `OCI runtime create failed: ${why}`)
  } finally {
    closeSync(output)
  }
}

/** As `deleteContainer`, for one whose processes have all gone: what is left are two directories. */
export async function forgetContainer(program: OciProgram, id: string, cgroup: string): Promise<void> {
  if (processesIn(cgroup).length > 0) return deleteContainer(program, id)
  await removePodCgroup(cgroup)
  await rm(join(program.state, id), { recursive: true, force: true })
}

/** Ends whatever is left of it, and forgets it; no error when there is nothing. */
export async function deleteContainer(program: OciProgram, id: string): Promise<void> {
  await callProgram(program, ['delete', '--force', id]).catch(error => {
    if (!/does not exist|no such file|not found/i.test(String(error))) throw error
  })
}

const RESIZE = 1
const REOPEN_LOG = 2

export const resizeTerminal = (directory: string, size: { width: number; height: number }): Promise<void> =>
  order(directory, `${RESIZE} ${size.height} ${size.width}\n`)

/** After the log file was moved away. */
export const reopenLog = (directory: string): Promise<void> => order(directory, `${REOPEN_LOG} 0 0\n`)

/** Not for a container that has ended: nobody reads. */
async function order(directory: string, text: string): Promise<void> {
  await writeFile(containerFiles(directory).control, text, { flag: 'r+' })
}

/** Of a container that has ended; null while it runs. */
export async function readExit(exits: string, id: string): Promise<number | null> {
  const text = await readFile(join(exits, id), 'utf8').catch(() => '')
  return /^-?\d+$/.test(text.trim()) ? Number(text) : null
}
