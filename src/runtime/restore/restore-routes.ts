/** The routes of a server's join listener by which another server restores the cluster. */
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import type { PeerRoute } from '../join/peer-listener.ts'
import { abortPrepared, commitPrepared, decisionHere, prepareToFollow } from './prepared.ts'
import {
  ABORT_PATH,
  COMMIT_PATH,
  type CommitAnswer,
  DECISION_PATH,
  type DecisionAnswer,
  PREPARE_PATH,
  parseGeneration,
  parsePrepare,
} from './protocol.ts'

export interface RestoreNeeds {
  readonly config: NodeConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** The daemon ends and is started again, and finishes what the journal says. */
  readonly onRestart: () => void
}

export function restoreRoutes(needs: RestoreNeeds): readonly PeerRoute[] {
  return [
    { method: 'POST', path: PREPARE_PATH, handle: ({ body }) => prepare(needs, body) },
    { method: 'POST', path: COMMIT_PATH, handle: ({ body }) => commit(needs, body) },
    { method: 'POST', path: ABORT_PATH, handle: ({ body }) => abort(needs, body) },
    {
      method: 'GET',
      path: DECISION_PATH,
      async handle({ query }): Promise<DecisionAnswer> {
        return { decision: decisionHere(needs.config, query.get('generation') ?? '') }
      },
    },
  ]
}

async function prepare({ config, clock, random, log }: RestoreNeeds, body: unknown): Promise<object> {
  const request = parsePrepare(body)
  await prepareToFollow(config, request, { clock, random })
  log.info('prepared to follow a restore', {
    by: request.restorer.nodeName,
    generation: request.newClusterId,
  })
  return {}
}

async function commit({ config, log, onRestart }: RestoreNeeds, body: unknown): Promise<CommitAnswer> {
  const { newClusterId } = parseGeneration(body)
  if (config.clusterId === newClusterId) return { left: true }
  if (!commitPrepared(config.dataDir, newClusterId))
    throw new Mk8sError('refused', `${config.nodeName} has nothing prepared for this restore`)
  log.info('the cluster is restored: this server begins again', { generation: newClusterId })
  // Once the answer is on its way.
  setImmediate(onRestart)
  return { left: false }
}

async function abort({ config, log }: RestoreNeeds, body: unknown): Promise<object> {
  const { newClusterId } = parseGeneration(body)
  abortPrepared(config.dataDir, newClusterId)
  log.info('the restore does not take place', { generation: newClusterId })
  return {}
}
