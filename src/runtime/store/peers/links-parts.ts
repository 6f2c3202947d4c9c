/** What the links to other members are built from. */

import type { Clock } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import type { MemberId } from '../../raft/messages.ts'
import type { PeerAddress, PeerCredentials, PeerMessage } from './peer-network.ts'

export interface PeerLinksParts {
  readonly member: MemberId
  readonly credentials: PeerCredentials
  readonly listen: PeerAddress
  /** Where a member may be found; tried in turn. Empty when nobody knows. */
  readonly addressesOf: (member: MemberId) => readonly PeerAddress[]
  /** The URI that a member's certificate must carry: names the cluster and the member. */
  readonly identityOf: (member: MemberId) => string
  readonly clock: Clock
  readonly log: Log
  readonly onMessage: (from: MemberId, message: PeerMessage) => void
  /** The link to a member stands. */
  readonly onOpened: (peer: MemberId) => void
  /** The link from a member is closed: it may be dead. */
  readonly onClosed: (peer: MemberId) => void
}
