import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FairRequest, QueueSet } from '../../../../../src/runtime/apiserver/fairness/queue-set.ts'
import { deal, flowHash } from '../../../../../src/runtime/apiserver/fairness/shuffle-sharding.ts'

function request(flow: string, started: string[], seats = 1): FairRequest {
  return {
    hash: flowHash('schema', flow),
    ...{ seats, schema: 'schema', distinguisher: flow, arrivedMs: 0 },
    start: () => started.push(flow),
  }
}

test('a hand has different queues, and the same flow gets the same hand', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 12 }),
      (flow, deck, size) => {
        const hand = deal(flowHash('s', flow), deck, size)
        assert.equal(new Set(hand).size, Math.min(size, deck))
        assert(hand.every(card => Number.isInteger(card) && card >= 0 && card < deck))
        assert.deepEqual(deal(flowHash('s', flow), deck, size), hand)
      },
    ),
  )
})

test('flows are spread over all queues', () => {
  const used = new Set<number>()
  for (let flow = 0; flow < 200; flow++)
    for (const card of deal(flowHash('s', `user-${flow}`), 64, 6)) used.add(card)
  assert.equal(used.size, 64)
})

test('a flow with few requests does not wait behind one with many', () => {
  const queues = new QueueSet({ count: 64, handSize: 6, lengthLimit: 50 }, 2)
  const started: string[] = []
  const flood = Array.from({ length: 40 }, () => request('elephant', started))
  for (const one of flood) queues.arrive(one, 0)
  const mouse = request('mouse', started)
  assert.equal(queues.arrive(mouse, 0.001), 'waiting')
  let seconds = 0.001
  let ended = 0
  while (!started.includes('mouse')) {
    seconds += 0.01
    const one = flood[ended++]
    assert(one !== undefined)
    queues.finish(one, seconds)
  }
  assert(ended <= 7, `the mouse waited for ${ended} others`)
})

test('what finds its queues full is refused, and without queues everything that finds no seat', () => {
  const full = new QueueSet({ count: 1, handSize: 1, lengthLimit: 2 }, 1)
  const started: string[] = []
  const arrive = () => full.arrive(request('a', started), 0)
  assert.deepEqual([arrive(), arrive(), arrive(), arrive()], ['started', 'waiting', 'waiting', 'queue-full'])
  const none = new QueueSet(null, 1)
  const first = request('a', started)
  assert.equal(none.arrive(first, 0), 'started')
  assert.equal(none.arrive(request('a', started), 0), 'concurrency-limit')
  none.finish(first, 1)
  assert.equal(none.arrive(request('a', started), 1), 'started')
})

test('seats are never exceeded, and everything that waits runs in the end', () => {
  const seats = fc.integer({ min: 1, max: 12 })
  const step = fc.record({
    flow: fc.integer({ min: 0, max: 5 }),
    seats,
    ends: fc.boolean(),
    cancels: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), steps => {
      const queues = new QueueSet({ count: 8, handSize: 3, lengthLimit: 100 }, 10)
      const running = new Set<FairRequest>()
      const waiting = new Set<FairRequest>()
      let seconds = 0
      const check = () => {
        const used = [...running].reduce((sum, one) => sum + one.seats, 0)
        assert(used <= 10 || running.size === 1)
        assert.equal(queues.seatsInUse, used)
        assert.equal(queues.waiting, waiting.size)
      }
      const finish = () => {
        const [first] = running
        if (first === undefined) return
        running.delete(first)
        seconds += 0.01
        queues.finish(first, seconds)
      }
      for (const { flow, seats: width, ends, cancels } of steps) {
        const one: FairRequest = {
          ...request(`flow-${flow}`, [], width),
          start: () => {
            waiting.delete(one)
            running.add(one)
          },
        }
        waiting.add(one)
        seconds += 0.001
        queues.arrive(one, seconds)
        check()
        if (ends) finish()
        const [last] = [...waiting].slice(-1)
        if (cancels && last !== undefined) {
          waiting.delete(last)
          assert(queues.cancel(last, seconds))
        }
        check()
      }
      while (running.size > 0) finish()
      assert.equal(waiting.size, 0)
      check()
    }),
  )
})

test('a request of one seat does not wait until a long list ends, nor do lists wait for ever behind such ones', () => {
  const queues = new QueueSet({ count: 64, handSize: 6, lengthLimit: 50 }, 40)
  const started: string[] = []
  const lists = Array.from({ length: 12 }, () => request('lists', started, 8))
  for (const list of lists) queues.arrive(list, 0)
  assert.equal(queues.seatsInUse, 32)
  const gets = Array.from({ length: 60 }, (_, n) => request(`gets-${n}`, started))
  assert.deepEqual(
    gets.slice(0, 9).map(get => queues.arrive(get, 0.001)),
    ['started', 'started', 'started', 'started', 'started', 'started', 'started', 'started', 'waiting'],
  )
  for (const get of gets.slice(9)) queues.arrive(get, 0.002)
  for (const list of lists.slice(0, 4)) queues.finish(list, 0.05)
  for (let at = 0; started.filter(name => name === 'lists').length < 8; at++) {
    const get = gets[at]
    assert(
      get !== undefined && started.includes(`gets-${at}`),
      'lists go on while there are requests of one seat',
    )
    queues.finish(get, 0.1 + at / 1000)
  }
})

test('requests that wait go on when the number of queues changes', () => {
  const started: string[] = []
  const queues = new QueueSet({ count: 8, handSize: 2, lengthLimit: 10 }, 1)
  const first = request('a', started)
  queues.arrive(first, 0)
  queues.arrive(request('b', started), 0)
  queues.configure({ count: 2, handSize: 1, lengthLimit: 10 }, 1, 1)
  queues.finish(first, 2)
  assert.deepEqual(started, ['a', 'b'])
})
