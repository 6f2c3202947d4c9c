/** Limits of the process runtime, on machines that let it make control groups. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../../src/base/clock.ts'
import { silentLog } from '../../../src/base/log.ts'
import { systemRandom } from '../../../src/base/random.ts'
import {
  cgroupTrees,
  processesIn,
  removePodCgroup,
} from '../../../src/runtime/kubelet/runtime/cri/pod-cgroups.ts'
import { ProcessGroups } from '../../../src/runtime/kubelet/runtime/process/process-groups.ts'
import { ProcessRuntime } from '../../../src/runtime/kubelet/runtime/process/process-runtime.ts'
import type { ContainerConfig } from '../../../src/runtime/kubelet/runtime/runtime.ts'
import { until } from '../../support/until.ts'
import { containerOf, sandboxOf } from './runtime-contract.ts'

const MIB = 1024 ** 2
const probe = `mk8s-probe-${process.pid}`
const why =
  process.platform === 'linux' ? await new ProcessGroups(probe).prepare(1) : 'control groups need Linux'
await removePodCgroup(`/${probe}`)

describe('limits of the process runtime', { skip: why !== '' && why }, () => {
  let directory = ''
  let nodeId = ''
  let runtime: ProcessRuntime
  const open = async () => {
    const shared = { clock: systemClock, random: systemRandom, log: silentLog }
    runtime = new ProcessRuntime({ ...shared, directory: join(directory, 'containers'), nodeId })
    await runtime.start(() => {})
  }
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mk8s-limits-'))
    nodeId = basename(directory)
    await open()
  })
  after(async () => {
    for (const { id } of await runtime.listSandboxes()) await runtime.removeSandbox(id)
    await runtime.stop()
    await removePodCgroup(`/${nodeId}`)
    await rm(directory, { recursive: true, force: true })
  })
  const start = async (over: Partial<ContainerConfig>) => {
    const sandbox = await runtime.runSandbox(sandboxOf(directory))
    const id = await runtime.createContainer(sandbox, containerOf(over))
    await runtime.startContainer(id)
    return { sandbox, id }
  }
  const limitsOf = async (id: string) => {
    const read = async (name: string) => {
      const paths = cgroupTrees().map(tree => join(tree, nodeId, 'process', id, name))
      const path = paths.find(existsSync)
      return path === undefined ? '' : (await readFile(path, 'utf8')).trim()
    }
    const quota = (await read('cpu.max')).split(' ')[0] || (await read('cpu.cfs_quota_us'))
    return [quota, (await read('memory.max')) || (await read('memory.limit_in_bytes'))].map(Number)
  }

  test('a container is limited from its first program on, is resized in place, and leaves no group', async () => {
    const resources = { cpuRequestMillis: 100, cpuLimitMillis: 500, memoryLimitBytes: 64 * MIB }
    const { sandbox, id } = await start({ command: ['sh', '-c', 'sleep 600 & wait'], resources })
    assert.deepEqual(await limitsOf(id), [50_000, 64 * MIB])
    const group = `/${nodeId}/process/${id}`
    await until('both are in it', () => processesIn(group).length === 2)
    await runtime.updateContainer?.(id, { cpuLimitMillis: 300, memoryLimitBytes: 96 * MIB })
    assert.deepEqual(await limitsOf(id), [30_000, 96 * MIB])
    await runtime.stop()
    await open()
    await runtime.updateContainer?.(id, { cpuLimitMillis: 200, memoryLimitBytes: 80 * MIB })
    assert.deepEqual(await limitsOf(id), [20_000, 80 * MIB])
    await runtime.removeSandbox(sandbox)
    assert.ok(cgroupTrees().every(tree => !existsSync(join(tree, group))))
  })

  test('a container that takes more memory than it may is ended, and says why', async () => {
    const command = ['sh', '-c', 'x=a; while :; do x=$x$x; done']
    const { id } = await start({ command, resources: { memoryLimitBytes: 16 * MIB } })
    const ended = await until('its end', async () => {
      const status = await runtime.containerStatus(id)
      return status?.state === 'exited' && status
    })
    assert.deepEqual([ended.reason, ended.exitCode], ['OOMKilled', 137])
  })
})
