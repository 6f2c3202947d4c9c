/** An emptyDir of huge pages is never one of the disk: it has pages that the pod asks for, or says what is wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../../../../src/kube/types.ts'
import { hugePageSize } from '../../../../../src/runtime/kubelet/volumes/huge-pages.ts'

const podOf = (...names: string[]): Pod => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } },
  spec: {
    containers: names.map(name => ({ name: 'c', image: 'i', resources: { limits: { [name]: '4Mi' } } })),
  },
})

test('the medium names the pages, or the pod has only one sort', () => {
  assert.equal(hugePageSize('HugePages', podOf('hugepages-2Mi', 'hugepages-2Mi', 'cpu')), '2Mi')
  assert.equal(hugePageSize('HugePages-1Gi', podOf('hugepages-2Mi', 'hugepages-1Gi')), '1Gi')
  for (const medium of ['', 'Memory']) assert.equal(hugePageSize(medium, podOf('hugepages-2Mi')), null)
})

test('pages that the pod does not ask for, and pages of two sizes, are refused in words', () => {
  assert.throws(() => hugePageSize('HugePages', podOf('cpu')), /there is no resource request for huge pages/)
  assert.throws(() => hugePageSize('HugePages-1Gi', podOf('hugepages-2Mi')), /no resource request/)
  assert.throws(
    () => hugePageSize('HugePages', podOf('hugepages-2Mi', 'hugepages-1Gi')),
    /multiple pageSizes/,
  )
})
