/**
 * A rolling upgrade of three servers and a worker while clients write, with the leader last among the servers, and one
 * that stops at the first node that fails; power cuts on the way. It takes minutes on a small machine, so it wants MK8S_TEST_ROLLING=1.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { temporaryDirectory } from '../support/cluster.ts'
import { EXECUTABLE, Releases } from '../support/releases.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const skip =
  process.platform === 'linux' && process.arch === 'x64' && process.env['MK8S_TEST_ROLLING'] === '1'
    ? false
    : 'wants linux-x64 and MK8S_TEST_ROLLING=1'

describe('mk8s upgrade of a cluster', { skip }, () => {
  const directory = temporaryDirectory()
  const releases = new Releases(join(directory, 'releases'))
  let [older, newer] = ['', '']
  let servers: TestServers
  before(async () => {
    older = await releases.build('0.1.0')
    newer = await releases.build('0.1.1')
    servers = await startServers({ count: 1, program: programOf('n1') })
    for (const name of ['n2', 'n3']) await servers.join({ program: programOf(name) })
    await servers.join({ program: programOf('n4'), worker: true })
  })
  after(async () => {
    await servers?.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  function programOf(name: string): string {
    const bin = join(directory, name)
    mkdirSync(bin, { recursive: true })
    copyFileSync(join(older, EXECUTABLE), join(bin, 'mk8s'))
    return join(bin, 'mk8s')
  }

  const first = (): TestNode => {
    const [node] = servers.nodes
    assert.ok(node)
    return node
  }

  async function versions(): Promise<string> {
    const path = '{range .items[*]}{.metadata.name}={.status.nodeInfo.kubeletVersion} {end}'
    const text = await first().kubectl.ok(['get', 'nodes', '-o', `jsonpath=${path}`])
    return text.trim().replaceAll(/v1\.36\.\d+\+mk8s\./g, '')
  }

  async function lostNothing(written: readonly string[]): Promise<void> {
    const found = await first().kubectl.ok(['get', 'configmaps', '-o', 'name'])
    const names = new Set(found.split('\n').map(line => line.replace('configmap/', '')))
    assert.deepEqual(
      written.filter(name => !names.has(name)),
      [],
    )
  }

  const programOfNode = ({ name }: TestNode): string => join(directory, name, 'mk8s')
  let loads = 0

  /** Writes through whichever server takes it, until the signal; the names that were acknowledged. */
  async function load(signal: AbortSignal): Promise<{ written: string[]; longestGapMs: number }> {
    const written: string[] = []
    const run = ++loads
    let [longestGapMs, last] = [0, performance.now()]
    for (let count = 0; !signal.aborted; count++) {
      const name = `load-${run}-${count}`
      const { kubectl } = servers.nodes[count % 3] ?? first()
      const { code } = await kubectl.try(['create', 'configmap', name, '--request-timeout=10s'])
      if (code !== 0) continue
      written.push(name)
      longestGapMs = Math.max(longestGapMs, performance.now() - last)
      last = performance.now()
    }
    return { written, longestGapMs }
  }

  test('a release that a node does not take stops it at that node, and changes no other', async () => {
    const broken = releases.make('0.1.2', '#!/bin/sh\nexit 1\n')
    const { code, stderr } = await first().mk8s(['upgrade', '--from', broken, '--timeout', '20'])
    assert.equal(code, 6, stderr)
    assert.match(stderr, /the upgrade stopped at the node n[23]/)
    assert.match(stderr, /no node was changed/)
    assert.equal(await versions(), 'n1=0.1.0 n2=0.1.0 n3=0.1.0 n4=0.1.0')
  })

  test('a power cut at any step on one of three servers leaves a version that serves, and no write is lost', async t => {
    const over = new AbortController()
    const writing = load(over.signal)
    const ends: string[] = []
    for (const [index, stage] of (['staged', 'switching', 'restarting', 'restarting'] as const).entries()) {
      const node = servers.nodes[index % 3] ?? first()
      const seen = await cutAt(node, stage)
      const started = await node.powerOn()
      const end = await until(`${node.name} serves after a cut at ${seen}`, async () => {
        const { version, ready } = await node.status().catch(() => ({ version: '', ready: false }))
        const ended = journalOf(node).stage
        return ready && (ended === 'done' || ended === 'failed') && `${version} ${ended}`
      })
      assert.ok(['0.1.0 failed', '0.1.1 done'].includes(end), `${seen}: ${end} ${started.stderr}`)
      ends.push(`${seen}: ${end}`)
      if (end === '0.1.1 done') {
        const back = await node.mk8s(['upgrade', '--rollback'])
        assert.equal(back.code, 0, back.stderr)
      }
    }
    over.abort()
    const { written, longestGapMs } = await writing
    await lostNothing(written)
    assert.equal(await versions(), 'n1=0.1.0 n2=0.1.0 n3=0.1.0 n4=0.1.0')
    t.diagnostic(`${ends.join(', ')}; ${written.length} writes, longest gap ${Math.round(longestGapMs)} ms`)
  })

  const journalOf = ({ dataDir }: TestNode): { readonly stage: string } => {
    try {
      return JSON.parse(readFileSync(join(dataDir, 'upgrade.json'), 'utf8'))
    } catch {
      return { stage: 'none' }
    }
  }

  /** The power goes as soon as the journal of an upgrade of this node alone says so; what it said then. */
  async function cutAt(node: TestNode, stage: string): Promise<string> {
    rmSync(join(node.dataDir, 'upgrade.json'), { force: true })
    const command = spawn(programOfNode(node), ['upgrade', '--this-node', '--from', newer], {
      env: { ...process.env, MK8S_DATA_DIR: node.dataDir },
      stdio: 'ignore',
    })
    const ended = once(command, 'exit')
    // Steps take milliseconds, and one that was missed is one of the next.
    while (![stage, 'restarting', 'done', 'failed'].includes(journalOf(node).stage))
      await new Promise<void>(resolve => setImmediate(resolve))
    const seen = journalOf(node).stage
    command.kill('SIGKILL')
    node.powerOff()
    await ended
    return seen
  }

  test('one command upgrades all nodes, one at a time, and loses nothing that was acknowledged', async t => {
    const over = new AbortController()
    const writing = load(over.signal)
    const { code, stdout, stderr } = await first().mk8s(['upgrade', '--from', newer])
    over.abort()
    const { written, longestGapMs } = await writing
    assert.equal(code, 0, stderr)
    assert.match(stdout, /n4 has mk8s 0\.1\.1/)
    const order = [...stderr.matchAll(/^- (n\d): from/gm)].map(([, name]) => name)
    assert.equal(order.at(-1), 'n4')
    assert.equal(await versions(), 'n1=0.1.1 n2=0.1.1 n3=0.1.1 n4=0.1.1')
    await lostNothing(written)
    t.diagnostic(`${written.length} writes, the longest gap ${Math.round(longestGapMs)} ms, order ${order}`)
    await until('all servers are well', async () => {
      const status = JSON.parse((await first().mk8s(['status', '--format', 'json'])).stdout)
      return status.datastore.highAvailability.state === 'yes'
    })
  })

  test('a schedule brings a node that lags behind to the version of its channel by itself', async () => {
    const worker = servers.nodes[3]
    assert.ok(worker)
    const back = await worker.mk8s(['upgrade', '--rollback'])
    assert.equal(back.code, 0, back.stderr)
    await until('the status tells of it', async () =>
      /1 more|VersionsDiffer/.test((await first().mk8s(['status'])).stdout),
    )
    const args = ['upgrade', '--from', newer, '--schedule', '* * * * *', '--window', '50s']
    assert.match((await first().mk8s(args)).stdout, /upgrades by itself/)
    await until('the worker has it', async () => (await versions()) === 'n1=0.1.1 n2=0.1.1 n3=0.1.1 n4=0.1.1')
    await until('how it ended is on record', async () =>
      /mk8s\.io\/last-result: done/.test(
        await first().kubectl.ok([
          '-n',
          'kube-system',
          'get',
          'configmap',
          'mk8s-upgrade-schedule',
          '-o',
          'yaml',
        ]),
      ),
    )
    assert.equal((await first().mk8s(['upgrade', '--unschedule'])).code, 0)
  })

  test('the same command again says that all have it', async () => {
    const { code, stdout } = await first().mk8s(['upgrade', '--from', newer])
    assert.equal(code, 0)
    assert.match(stdout, /All nodes have mk8s 0\.1\.1/)
  })
})
