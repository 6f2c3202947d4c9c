/** A daemon waits a little for its address, and then says what to do. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { Mk8sError } from '../../../src/base/errors.ts'
import { silentLog } from '../../../src/base/log.ts'
import { isOwnAddress } from '../../../src/host/own-address.ts'
import { waitForOwnAddress } from '../../../src/runtime/own-address.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const config = { bindAddress: '192.0.2.200', nodeName: 'n1' }
const signal = new AbortController().signal

/** Asked again and again, each time a second later. */
function askedOn(clock: ManualClock, answers: (times: number) => boolean): () => Promise<boolean> {
  let times = 0
  return async () => {
    times++
    setImmediate(() => clock.advance(1_000))
    return answers(times)
  }
}

test('the kernel knows which addresses are its own, all of 127.0.0.0/8 among them', async () => {
  assert.equal(await isOwnAddress('127.99.3.4'), true)
  assert.equal(await isOwnAddress('192.0.2.200'), false)
})

test('an address that comes a few seconds after the start is waited for', async () => {
  const clock = new ManualClock()
  const isOwn = askedOn(clock, times => times >= 4)
  await waitForOwnAddress({ config, clock, log: silentLog, signal, isOwn })
})

test('an address that does not come is an error with the command that helps', async () => {
  const clock = new ManualClock()
  const isOwn = askedOn(clock, () => false)
  await assert.rejects(
    waitForOwnAddress({ config, clock, log: silentLog, signal, isOwn }),
    (error: unknown) => {
      assert.ok(error instanceof Mk8sError)
      assert.equal(error.code, 'host/address-gone')
      assert.match(error.hint ?? '', /mk8s node set-address/)
      return true
    },
  )
})
