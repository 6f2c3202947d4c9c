/** A node's side of an upgrade that a server sends: verified and staged here, then carried out by a process of its own. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { MK8S_VERSION } from '../../config/version.ts'
import { carryOn } from './carry-on.ts'
import { OFFER_HEADER, type Offer, type UpgradeReport } from './node-channel.ts'
import { resumeUpgrade, stageUpgrade } from './node-upgrade.ts'
import { assertSigned, executableName, parseSums } from './release.ts'
import { trustedKeys } from './release-keys.ts'
import { thisNode } from './this-node.ts'
import { readUpgrade } from './upgrade-journal.ts'

/** Answers `GET /upgrade` (how far it has come) and `POST /upgrade` (an executable, with its offer in a header). */
export function createUpgradeReceiver(parts: ReceiverParts): UpgradeReceiver {
  let receiving = false
  const receive = async (request: IncomingMessage) => {
    if (receiving) throw new Mk8sError('refused', 'another executable is just coming in')
    receiving = true
    try {
      const offer = parseOffer(String(request.headers[OFFER_HEADER] ?? ''))
      await stage(parts, offer, request.iterator({ destroyOnReturn: false }))
    } finally {
      receiving = false
    }
  }
  return async (request, response) => {
    if (request.method === 'POST') {
      try {
        await receive(request)
      } catch (error) {
        return reply(response, 422, wordsOf(error))
      } finally {
        request.resume()
      }
    } else if (request.method !== 'GET') return reply(response, 405, 'Method Not Allowed')
    const report: UpgradeReport = {
      version: MK8S_VERSION,
      ...{ platform: process.platform, arch: process.arch },
      record: readUpgrade(parts.dataDir),
    }
    reply(response, 200, JSON.stringify(report))
  }
}

interface ReceiverParts {
  readonly dataDir: string
  readonly clock: Clock
}

type UpgradeReceiver = (request: IncomingMessage, response: ServerResponse) => Promise<void>

function reply(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': status === 200 ? 'application/json' : 'text/plain' })
  response.end(text)
}

const wordsOf = (error: unknown): string =>
  error instanceof Mk8sError && error.why ? `${error.message}: ${error.why}` : messageOf(error)

async function stage(
  { dataDir, clock }: ReceiverParts,
  { sums, signature, version, others, timeoutMs }: Offer,
  executable: AsyncIterable<unknown>,
): Promise<void> {
  const bytes = Buffer.from(sums, 'base64')
  assertSigned({ bytes, signature }, trustedKeys(dataDir), 'the release')
  const name = executableName(process.platform, process.arch)
  const sum = parseSums(bytes.toString('utf8')).get(name)
  if (sum === undefined) throw new Mk8sError('host/unsupported', `the release has no ${name}`)
  const parts = thisNode({ dataDir, clock, timeoutMs, progress: () => {} })
  await resumeUpgrade(parts)
  const open = async () => Readable.from(executable)
  await stageUpgrade(parts, { version, sum, others, open, isRollback: false })
  await carryOn(dataDir, ['--staged', '--timeout', String(Math.ceil(timeoutMs / 1_000))])
}

function parseOffer(text: string): Offer {
  try {
    return JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as Offer
  } catch (cause) {
    throw new Mk8sError('usage', 'the request says of no release', { cause })
  }
}
