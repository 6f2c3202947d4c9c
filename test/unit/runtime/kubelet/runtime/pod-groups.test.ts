import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { burstableLimits } from '../../../../../src/runtime/kubelet/resources/qos-groups.ts'
import { PodGroups, podCgroup } from '../../../../../src/runtime/kubelet/runtime/pod-groups.ts'

test('pods of each class lie where the kubelet lays them out', () => {
  assert.equal(podCgroup('mk8s', 'u', 'Guaranteed'), '/mk8s/kubepods/podu')
  assert.equal(podCgroup('mk8s', 'u', 'Burstable'), '/mk8s/kubepods/burstable/podu')
  assert.equal(podCgroup('mk8s', 'u', 'BestEffort'), '/mk8s/kubepods/besteffort/podu')
})

/** Files as the kernel would make them: written to only where they are. */
function tree(directory: string, group: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(join(directory, group), { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, group, name), text)
  return directory
}

test('a class is limited in both versions of control groups', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-groups-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const group = 'n1/kubepods/burstable'
  const first = tree(join(directory, 'cpu'), group, { 'cpu.shares': '' })
  const second = tree(join(directory, 'unified'), group, {
    'cpu.weight': '',
    'cpu.max': '',
    'memory.max': '',
  })
  for (const level of ['', 'n1', 'n1/kubepods']) tree(second, level, { 'cgroup.subtree_control': '' })
  tree(second, '', { 'cgroup.controllers': 'cpu memory' })
  const groups = new PodGroups('n1', [first, second])
  await groups.limit('Burstable', { cpuRequestMillis: 500, memoryLimitBytes: 1024 })
  const read = (at: string, name: string) => readFileSync(join(at, group, name), 'utf8')
  assert.equal(read(first, 'cpu.shares'), '512')
  assert.equal(read(second, 'cpu.weight'), '20')
  assert.equal(read(second, 'memory.max'), '1024')
  assert.equal(readFileSync(join(second, 'n1/kubepods/cgroup.subtree_control'), 'utf8'), '+cpu +memory')
})

test('groups of pods that are gone are taken away, and no others', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-groups-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const group = (path: string) => {
    mkdirSync(join(directory, path), { recursive: true })
    return join(directory, path)
  }
  const kept = [group('n1/kubepods/burstable/poda'), group('n1/kubepods/besteffort/other')]
  const gone = [group('n1/kubepods/podb'), group('n1/kubepods/burstable/podc')]
  const busy = group('n1/kubepods/besteffort/podd')
  writeFileSync(join(busy, 'cgroup.procs'), '1\n')
  await new PodGroups('n1', [directory]).sweep(new Set(['a']))
  assert.deepEqual(gone.filter(existsSync), [])
  assert.deepEqual([...kept, busy].filter(existsSync), [...kept, busy])
})

test('burstable pods together get the CPU that they ask for', () => {
  const pod = (cpu: string, limit?: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: {} },
    spec: {
      containers: [
        {
          name: 'c',
          resources: {
            requests: { cpu, memory: '1Mi' },
            ...(limit ? { limits: { cpu: limit, memory: '1Mi' } } : {}),
          },
        },
      ],
    },
  })
  const pods = [pod('100m'), pod('150m'), pod('1', '1')]
  assert.deepEqual(burstableLimits(pods), { cpuRequestMillis: 250 })
})
