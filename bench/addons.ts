/** `mk8s enable dns registry multus` on a fresh node that is Ready, until the command says that all of them work. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MK8S } from '../test/support/cluster.ts'
import { NetworkNamespace } from '../test/support/containerd.ts'
import { run } from '../test/support/kubectl.ts'
import { realRuntimes } from '../test/support/oci.ts'
import { until } from '../test/support/until.ts'
import { type Figure, median } from './figure.ts'

const ADDONS = ['dns', 'registry', 'multus']
const RUNS = 3
const GOAL_S = 15
const READY = 'jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}'

/** Each runtime with real containers in its turn, in a network namespace; what cannot be measured is said. */
export async function measure(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const { runtime, why } of realRuntimes()) {
    if (why !== undefined) {
      process.stderr.write(`no figure of ${runtime}: ${why}\n`)
      continue
    }
    const times: number[] = []
    for (let round = 0; round < RUNS; round++) times.push(await enableOnFreshNode(runtime))
    const figure = `enable ${ADDONS.join(' ')}, ${runtime}`
    figures.push({ figure, us: median(times), peer: null, unit: 's', goal: GOAL_S })
  }
  if (figures.length === 0) throw new Error('no runtime with real containers can be measured here')
  return figures
}

/** Seconds. */
async function enableOnFreshNode(runtime: string): Promise<number> {
  const namespace = new NetworkNamespace('bench')
  const parent = mkdtempSync(join(tmpdir(), 'mk8s-bench-'))
  const [enter, ...words] = namespace.enter
  const mk8s = async (...args: string[]) => {
    const env = { MK8S_DATA_DIR: join(parent, 'data') }
    const ran = await run(enter, [...words, MK8S, ...args], { env })
    if (ran.code !== 0) throw new Error(`mk8s ${args.join(' ')}: ${ran.stdout}${ran.stderr}`)
    return ran.stdout
  }
  try {
    await mk8s('install', '--runtime', runtime, '--bind-address', namespace.address)
    await until('a Ready node', async () => (await mk8s('kubectl', 'get', 'nodes', '-o', READY)) === 'True')
    const begin = performance.now()
    await mk8s('enable', ...ADDONS)
    return (performance.now() - begin) / 1_000
  } finally {
    await mk8s('uninstall', '--yes')
    namespace.remove()
    rmSync(parent, { recursive: true, force: true })
  }
}
