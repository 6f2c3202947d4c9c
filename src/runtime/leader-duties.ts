/**
 * What only the leader does: controllers and scheduler, started for each term this member leads and stopped when
 * it does not. Their writes carry the term, so a late one is refused by the store, not merely unlikely.
 */
import type { Component, Health } from '../base/component.ts'
import type { Log } from '../base/log.ts'
import type { Leadership, Store } from './store/store.ts'

export interface LeaderDutiesParts {
  readonly store: Pick<Store, 'leadership' | 'onLeadership'>
  /** The components of one term, in the order of starting. */
  readonly dutiesOf: (term: number) => readonly Component[]
  readonly log: Log
}

export function createLeaderDuties(parts: LeaderDutiesParts): Component {
  let running: readonly Component[] = []
  let runningTerm = 0
  let failure = ''
  let stopped = false
  let unsubscribe = () => {}
  /** Changes of leadership are followed one at a time. */
  let turn: Promise<void> = Promise.resolve()

  const stopRunning = async () => {
    const stopping = running.toReversed()
    running = []
    for (const duty of stopping) await duty.stop()
  }
  const follow = async ({ leader, term }: Leadership) => {
    if (leader && term === runningTerm && running.length > 0) return
    await stopRunning()
    if (!leader || stopped) return
    parts.log.info('leading: starting the controllers and the scheduler', { term })
    runningTerm = term
    running = parts.dutiesOf(term)
    const signal = new AbortController().signal
    for (const duty of running) {
      await duty.prepare(signal)
      await duty.start(signal)
    }
    failure = ''
  }
  const onChange = (leadership: Leadership) => {
    turn = turn
      .then(() => follow(leadership))
      .catch(error => {
        failure = 'the controllers did not start; the daemon log says why'
        parts.log.error('the leader could not start its duties', { error })
      })
    return turn
  }
  return {
    name: 'controllers',
    async prepare() {},
    async start() {
      unsubscribe = parts.store.onLeadership(leadership => void onChange(leadership))
      await onChange(parts.store.leadership)
    },
    async stop() {
      stopped = true
      unsubscribe()
      await turn
      await stopRunning()
    },
    health: () => healthOf(failure, running),
  }
}

function healthOf(failure: string, running: readonly Component[]): Health {
  if (failure !== '') return { ok: false, reason: failure }
  const bad = running.map(duty => ({ name: duty.name, ...duty.health() })).find(({ ok }) => !ok)
  return bad ? { ok: false, reason: `${bad.name}: ${bad.reason}` } : { ok: true, reason: '' }
}
