/** What retention takes away: a schedule's own files that no rule keeps, and nothing else. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  expiredFiles,
  fileNameOf,
  leftoverFiles,
  timeInName,
  untakenFileName,
} from '../../../../../src/runtime/backup/schedule/retention.ts'

const DAY = 86_400_000
const now = Date.parse('2026-11-22T03:00:00Z')
const owner = { clusterId: '0123456789abcdef', schedule: 'nightly' }
const file = (name: string) => ({ name, bytes: 1, modifiedMs: now })
const aged = (days: number) => fileNameOf(owner, now - days * DAY)
const ages = [3, 0, 9, 1, 30].map(aged)

const expired = (keep: number | null, keepForDays: number | null, names = ages, spared: string[] = []) =>
  expiredFiles(names.map(file), {
    ...{ owner, keep, spared, nowMs: now },
    keepForMs: keepForDays === null ? null : keepForDays * DAY,
  })

describe('the names of files', () => {
  it('differ for runs that begin in the same second', () => {
    const names: string[] = []
    for (let run = 0; run < 3; run++) names.unshift(untakenFileName(owner, now, names))
    assert.deepEqual(
      names.map(name => timeInName(owner, name)),
      [now + 2_000, now + 1_000, now],
    )
  })

  it('tell their time, of the right owner only', () => {
    assert.equal(fileNameOf(owner, now + 999), 'mk8s-01234567-nightly-20261122T030000Z.mk8sbackup')
    assert.equal(timeInName(owner, fileNameOf(owner, now)), now)
    for (const name of [
      'mk8s-01234567-nightly-20261122T030000Z.mk8sbackup.part',
      'mk8s-01234567-nightly-20261322T030000Z.mk8sbackup',
      'mk8s-01234567-nightly-x-20261122T030000Z.mk8sbackup',
      'mk8s-01234567-night-20261122T030000Z.mk8sbackup',
      'mk8s-99999999-nightly-20261122T030000Z.mk8sbackup',
      'mk8s-backup-01234567-20261122T030000Z.mk8sbackup',
      'nightly',
    ])
      assert.equal(timeInName(owner, name), null, name)
  })
})

describe('retention', () => {
  it('keeps the latest so many, or those that are young enough, or both', () => {
    assert.deepEqual(expired(2, null).toSorted(), [3, 9, 30].map(aged).toSorted())
    assert.deepEqual(expired(null, 5).toSorted(), [9, 30].map(aged).toSorted())
    assert.deepEqual(expired(4, 2), [aged(30)])
    assert.deepEqual(expired(null, null), [])
  })

  it('never takes the newest, however old, nor what is spared', () => {
    assert.deepEqual(expired(null, 1, [aged(40), aged(50)]), [aged(50)])
    assert.deepEqual(expired(1, null, ages, [aged(30)]).toSorted(), [1, 3, 9].map(aged).toSorted())
  })

  it('takes nothing that is not its own, whatever it is called', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.nat(3), (names, keep) => {
        const foreign = [
          ...names,
          ...['other', 'nightly-2'].map(schedule => fileNameOf({ ...owner, schedule }, 0)),
        ]
        const all = expired(keep, null, [...foreign, ...ages])
        assert.ok(all.every(name => ages.includes(name)))
        assert.equal(all.length, ages.length - Math.max(1, keep))
      }),
    )
  })

  it('finds what unfinished runs of its own have left', () => {
    const part = `${aged(2)}.0a1b2c.part`
    const names = [
      part,
      `${aged(1)}.part`,
      aged(1),
      'notes.part',
      'mk8s-01234567-other-20261122T030000Z.mk8sbackup.part',
    ]
    assert.deepEqual(leftoverFiles(names.map(file), owner), [part, `${aged(1)}.part`])
  })
})
