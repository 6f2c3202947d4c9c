/** What `mk8s add-node` asks of a server's daemon: a new token, and where and how joiners find this server. */
import type { X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { hostname } from 'node:os'
import { type Clock, sleep } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { AddNodeAnswer, AddNodeRequest } from '../../client/add-node.ts'
import { signerOf } from '../pki/validity.ts'
import { fingerprintOf } from './fingerprint.ts'
import { Ledger, type LedgerStore } from './ledger.ts'
import { newTokenText, tokenTextProblem } from './token-text.ts'

export interface AddNodeParts {
  readonly store: LedgerStore
  readonly nodeName: string
  readonly bindAddress: string
  readonly joinPort: number
  /** PEM of the cluster authority, as it is now. */
  readonly authority: () => string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

const TTL_S_MAX = 10 * 365 * 24 * 60 * 60
const USES_MAX = 10_000

export async function addNode(parts: AddNodeParts, request: AddNodeRequest): Promise<AddNodeAnswer> {
  const { clock, random, log } = parts
  const { worker, uses, ttlSeconds } = request
  checkNumbers(request)
  const text = request.token ?? newTokenText(random)
  const problem = tokenTextProblem(text)
  if (problem !== undefined) throw new Mk8sError('usage', 'the token cannot be used', { why: problem })
  const wanted = { text, worker, uses, ttlMs: ttlSeconds * 1000, nowMs: clock.now() }
  const token = await new Ledger(parts.store, random).add(wanted)
  log.info('made a join token', { token: token.id, worker, uses, expiresAt: token.expiresAt })
  const authority: X509Certificate = signerOf(parts.authority())
  return {
    token: text,
    fingerprint: fingerprintOf(authority),
    addresses: await addressesOf(parts),
    port: parts.joinPort,
    worker,
    uses,
    expiresAt: token.expiresAt,
  }
}

function checkNumbers({ uses, ttlSeconds }: AddNodeRequest): void {
  const good = (value: number, max: number) => Number.isSafeInteger(value) && value >= 1 && value <= max
  if (!good(ttlSeconds, TTL_S_MAX))
    throw new Mk8sError('usage', `a token lives for 1 to ${TTL_S_MAX} seconds, not ${ttlSeconds}`)
  if (uses !== null && !good(uses, USES_MAX))
    throw new Mk8sError('usage', `a token is good for 1 to ${USES_MAX} joins, not ${uses}`)
}

/** A resolver that is away is not waited for. */
const LOOKUP_MS_MAX = 1_000

/** The address that the node listens on, then the names that lead to it. */
async function addressesOf({ nodeName, bindAddress, clock }: AddNodeParts): Promise<readonly string[]> {
  const names = [...new Set([hostname().toLowerCase(), nodeName])]
  const late = sleep(clock, LOOKUP_MS_MAX).then(() => false)
  const leading = await Promise.all(
    names.map(async name => ((await Promise.race([leadsTo(name, bindAddress), late])) ? [name] : [])),
  )
  return [bindAddress, ...leading.flat()]
}

async function leadsTo(name: string, address: string): Promise<boolean> {
  try {
    const found = await lookup(name, { all: true })
    return found.some(each => each.address === address)
  } catch {
    return false
  }
}
