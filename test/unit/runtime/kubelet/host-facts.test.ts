import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { appArmorRefusal } from '../../../../src/runtime/kubelet/app-armor.ts'
import { type HostFacts, readHugepages } from '../../../../src/runtime/kubelet/host-facts.ts'
import {
  allocatableAmounts,
  capacityAmounts,
  renderAmounts,
} from '../../../../src/runtime/kubelet/resources/node-allocatable.ts'

test('huge pages are told by size, and their memory is no other memory', t => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-pages-'))
  t.after(() => rmSync(directory, { recursive: true }))
  for (const [name, count] of [
    ['hugepages-2048kB', 8],
    ['hugepages-1048576kB', 0],
  ] as const) {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'nr_hugepages'), `${count}\n`)
  }
  const hugepages = readHugepages(directory)
  assert.deepEqual(hugepages, { '2Mi': 16 * 2 ** 20, '1Gi': 0 })
  const host = { cpuCount: 2, memoryBytes: 2 ** 30, diskBytes: 0, hugepages } as unknown as HostFacts
  const { memory, ...pages } = renderAmounts(allocatableAmounts(host))
  assert.deepEqual([memory, pages['hugepages-2Mi'], pages['hugepages-1Gi']], ['1032192Ki', '16Mi', '0'])
  assert.equal(renderAmounts(capacityAmounts(host))['memory'], '1048576Ki')
  assert.deepEqual(readHugepages(join(directory, 'none')), {})
})

test('a profile of AppArmor is refused where the kernel has none, and nothing else is', () => {
  const pod = (type?: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: {} },
    spec: {
      containers: [{ name: 'c', ...(type ? { securityContext: { appArmorProfile: { type } } } : {}) }],
    },
  })
  assert.equal(appArmorRefusal(pod('RuntimeDefault'), false)?.reason, 'AppArmor')
  assert.equal(appArmorRefusal(pod('RuntimeDefault'), true), null)
  assert.equal(appArmorRefusal(pod('Unconfined'), false), null)
  assert.equal(appArmorRefusal(pod(), false), null)
})
