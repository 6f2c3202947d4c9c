/** Real processes that die, or find the disk full, at a step of theirs that the test names. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identifyProcess, writePidFile } from '../../src/host/processes.ts'
import { MK8S } from './cluster.ts'
import type { TestNode } from './servers.ts'

export interface Fault {
  /** As `recorded` has it: who, what, and on which files. */
  readonly step: string
  readonly what: 'kill' | 'full'
  /** Only on this node. */
  readonly dataDir?: string
}

const preload = join(import.meta.dirname, 'fault-program.ts')

export class Faults {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
    mkdirSync(directory, { recursive: true })
  }

  /** For every process that is to fail. */
  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--import ${preload}`, MK8S_TEST_FAULTS: this.#directory }
  }

  /** Once; the next one replaces it. */
  next(fault: Fault): void {
    writeFileSync(join(this.#directory, 'next.json'), JSON.stringify(fault))
  }

  /** Whether it has happened. */
  get happened(): boolean {
    return !existsSync(join(this.#directory, 'next.json'))
  }

  /** The steps that processes of each node took meanwhile, each once, by the node's directory. */
  async recorded(during: () => Promise<void>): Promise<ReadonlyMap<string, readonly string[]>> {
    const file = join(this.#directory, 'record')
    writeFileSync(file, '')
    await during()
    const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
    rmSync(file)
    const steps = new Map<string, string[]>()
    for (const line of new Set(lines)) {
      const [step = '', dataDir = ''] = line.split('\t')
      steps.set(dataDir, [...(steps.get(dataDir) ?? []), step])
    }
    return steps
  }

  /** The daemon of the node ends, and goes on under a supervisor that hands these faults to it. */
  takeOver(node: TestNode): void {
    node.powerOff()
    const { dataDir } = node
    const script = join(dataDir, 'run/supervise.sh')
    const child = spawn('/bin/sh', [script, dataDir, MK8S, 'daemon', '--data-dir', dataDir], {
      env: { ...process.env, ...this.env },
      detached: true,
      stdio: 'ignore',
    })
    child.unref()
    const identity = identifyProcess(child.pid ?? 0)
    if (identity === undefined) throw new Error('the supervisor did not start')
    writePidFile(join(dataDir, 'run/supervisor.pid'), identity.pid)
  }
}
