/** Finds out whether a joining server is where it says: who answers there must prove to be that member. */

import { connect } from 'node:tls'
import { messageOf, systemCodeOf } from '../../base/errors.ts'
import type { MemberAddress } from '../members/member-record.ts'
import type { PeerCredentials } from '../store/peers/peer-network.ts'

const DIAL_MS_MAX = 3_000

export interface DialBack {
  readonly address: MemberAddress
  readonly credentials: PeerCredentials
  /** The URI that the certificate of who answers must carry. */
  readonly identity: string
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  EHOSTUNREACH: 'there is no way to that address',
  ENETUNREACH: 'there is no way to that network',
  ETIMEDOUT: 'no answer',
}

/** Undefined when all is well, else why not. */
export function dialBack({ address, credentials, identity }: DialBack): Promise<string | undefined> {
  const { key, certificate: cert, authority: ca } = credentials
  return new Promise(resolve => {
    const socket = connect({
      ...address,
      key,
      cert,
      ca,
      minVersion: 'TLSv1.3',
      checkServerIdentity: (_host, { subjectaltname }) =>
        (subjectaltname ?? '').split(', ').includes(`URI:${identity}`)
          ? undefined
          : new Error('another member of the cluster answers there'),
    })
    const end = (why: string | undefined) => {
      socket.destroy()
      resolve(why)
    }
    socket.setTimeout(DIAL_MS_MAX, () => end(`no answer within ${DIAL_MS_MAX / 1000} s`))
    socket.once('secureConnect', () => end(undefined))
    socket.once('error', error => end(reasons[systemCodeOf(error) ?? ''] ?? messageOf(error)))
  })
}
