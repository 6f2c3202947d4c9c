/** What becomes of the chains that port mappings leave behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planChainRemoval } from '../../../../src/runtime/network/portmap-chains.ts'

const SAVED = `*nat
:PREROUTING ACCEPT [0:0]
:OTHERS - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A PREROUTING -j OTHERS
-A CNI-HOSTPORT-SETMARK -m comment --comment "a mark" -j MARK --set-xmark 0x2000/0x2000
COMMIT
`

test('chains that no pod uses go with what leads to them, and nothing else', () => {
  const lines = planChainRemoval(SAVED).trim().split('\n')
  assert.deepEqual(lines, [
    '*nat',
    '-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT',
    '-F CNI-HOSTPORT-DNAT',
    '-F CNI-HOSTPORT-SETMARK',
    '-X CNI-HOSTPORT-DNAT',
    '-X CNI-HOSTPORT-SETMARK',
    'COMMIT',
  ])
})

test('they stay while a pod has a port there, and nothing is said where there are none', () => {
  const used = SAVED.replace('COMMIT', '-A CNI-HOSTPORT-DNAT -p tcp --dport 80 -j CNI-DN-abc\nCOMMIT')
  assert.equal(planChainRemoval(used), '')
  assert.equal(planChainRemoval('*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n'), '')
  assert.equal(planChainRemoval(''), '')
})
