/**
 * The DNS thread of a node that knows 1,000 services, asked for all of them by a process of its own: as fast as it
 * answers, and 10,000 times a second for what each one waits. Its own processor time per answer says what one core can.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Worker } from 'node:worker_threads'
import { startWorker } from '../src/host/worker.ts'
import type { DnsChanges, FromDns, ToDns } from '../src/runtime/dns/messages.ts'
import { type Figure, median } from './figure.ts'

const RUNS = 5
const SERVICES = 1_000
const QUESTIONS = 100_000
const RATE = 10_000
/** One in ten asks for a headless service with four endpoints. */
const HEADLESS_EVERY = 10
const LISTEN = { address: '127.53.0.1', port: 10_053 }
const GOAL_MICROSECONDS = 100
const GOAL_P99_MS = 5

interface Ran {
  readonly answers: number
  readonly lost: number
  readonly wrong: number
  readonly seconds: number
  readonly p99: number
}

function cluster(): DnsChanges {
  const isHeadless = (index: number) => index % HEADLESS_EVERY === 0
  const indexes = Array.from({ length: SERVICES }, (_, index) => index)
  const ports = [{ name: 'http', protocol: 'tcp', port: 80 }]
  return {
    services: indexes.map(index => {
      const addresses = isHeadless(index) ? [] : [`10.152.${183 + (index >> 8)}.${index & 255}`]
      const kind = isHeadless(index) ? 'headless' : 'cluster-ip'
      return [`default/web-${index}`, { kind, addresses, ports, target: '' }]
    }),
    slices: indexes.filter(isHeadless).map(index => {
      const endpoints = [1, 2, 3, 4].map(each => ({
        hostname: `web-${each}`,
        addresses: [`10.1.${index >> 8}.${(index & 127) + each}`],
      }))
      return [`default/web-${index}-x`, { service: `default/web-${index}`, endpoints, ports }]
    }),
  }
}

async function startDns(): Promise<Worker> {
  const worker = startWorker('dns', {})
  const post = (message: ToDns) => worker.postMessage(message)
  const listening = new Promise<void>((resolve, reject) => {
    worker.once('error', reject)
    worker.on('message', (message: FromDns) => {
      if (message.type === 'listening') resolve()
      if (message.type === 'problem' && message.about === 'listen') reject(new Error(message.text))
    })
  })
  const zone = { domain: 'cluster.local', dnsAddress: '10.152.183.10', networks: [] }
  post({ type: 'open', listen: LISTEN, zone })
  post({ type: 'changes', changes: cluster() })
  post({ type: 'synced' })
  await listening
  return worker
}

async function load(names: string, rate: number): Promise<Ran & { readonly processorSeconds: number }> {
  const program = join(import.meta.dirname, 'dns-load.ts')
  const words = [program, LISTEN.address, LISTEN.port, QUESTIONS, rate, names].map(String)
  const before = process.cpuUsage()
  const { stdout } = await promisify(execFile)(process.execPath, words)
  const used = process.cpuUsage(before)
  return { ...(JSON.parse(stdout) as Ran), processorSeconds: (used.user + used.system) / 1e6 }
}

export async function measure(): Promise<Figure[]> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-bench-'))
  const names = join(directory, 'names')
  const lines = Array.from({ length: SERVICES }, (_, index) => `web-${index}.default.svc.cluster.local`)
  writeFileSync(names, lines.join('\n'))
  const worker = await startDns()
  try {
    const fast = []
    const even = []
    for (let run = 0; run < RUNS; run++) {
      fast.push(await load(names, 0))
      even.push(await load(names, RATE))
    }
    const all = [...fast, ...even]
    const failed = all.map(({ lost, wrong }) => lost + wrong)
    const perAnswer = fast.map(({ processorSeconds, answers }) => (processorSeconds / answers) * 1e6)
    const common = { peer: null }
    return [
      {
        ...common,
        figure: 'processor time per answer (10,000 answers per second on one core: 100)',
        ...{ us: median(perAnswer), unit: 'µs', goal: GOAL_MICROSECONDS },
      },
      {
        ...common,
        figure: 'time per answer, 64 asked for at once',
        ...{ us: median(fast.map(each => (each.seconds / each.answers) * 1e6)), unit: 'µs' },
        goal: GOAL_MICROSECONDS,
      },
      {
        ...common,
        figure: `p99 at ${RATE} questions per second`,
        ...{ us: median(even.map(({ p99 }) => p99)), unit: 'ms', goal: GOAL_P99_MS },
      },
      { ...common, figure: 'answers lost or wrong', us: median(failed), unit: '', goal: 0 },
    ]
  } finally {
    await worker.terminate()
    rmSync(directory, { recursive: true, force: true })
  }
}
