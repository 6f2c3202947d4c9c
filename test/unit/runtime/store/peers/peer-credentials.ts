/** Certificates as members have them, from an authority made for one test. */

import { systemRandom } from '../../../../../src/base/random.ts'
import { peerIdentity } from '../../../../../src/runtime/pki/authorities.ts'
import { generateKey, issueAuthority, issueLeaf, type PemPair } from '../../../../../src/runtime/pki/issue.ts'
import type { PeerCredentials } from '../../../../../src/runtime/store/peers/peer-network.ts'

const DAY_MS = 24 * 60 * 60 * 1000
export const identityOf = (member: number) => peerIdentity('test-cluster', String(member))

function validity() {
  return { notBefore: new Date(Date.now() - DAY_MS), notAfter: new Date(Date.now() + DAY_MS) }
}

export function createPeerAuthority(): Promise<PemPair> {
  return issueAuthority('mk8s-peer', validity(), systemRandom)
}

export async function issuePeer(authority: PemPair, member: number): Promise<PeerCredentials> {
  const key = generateKey()
  const plan = {
    name: 'peer',
    authority: 'peer-ca',
    commonName: `member ${member}`,
    usages: ['client', 'server'],
    dnsNames: [],
    ipAddresses: [],
    uris: [identityOf(member)],
  } as const
  const certificate = await issueLeaf(plan, { authority, key, validity: validity(), random: systemRandom })
  return { key, certificate, authority: authority.certificate }
}
