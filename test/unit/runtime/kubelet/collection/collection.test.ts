import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../../../src/base/clock.ts'
import { createLog } from '../../../../../src/base/log.ts'
import { ImageCollector } from '../../../../../src/runtime/kubelet/collection/image-collector.ts'
import { LogRotator } from '../../../../../src/runtime/kubelet/collection/log-rotator.ts'
import {
  bytesToFree,
  IMAGE_LIMITS,
  imagesToRemove,
} from '../../../../../src/runtime/kubelet/collection/plan-images.ts'
import { planRotation } from '../../../../../src/runtime/kubelet/collection/plan-rotation.ts'
import type { ContainerStatus } from '../../../../../src/runtime/kubelet/runtime/runtime.ts'

const LIMITS = { fileBytesMax: 100, filesMax: 5 }
const nowMs = Date.parse('2026-01-02T03:04:05Z')

test('a log that is short stays, a long one is put aside under the time', () => {
  const files = { current: '0.log', names: ['0.log'], nowMs }
  assert.equal(planRotation({ ...files, currentBytes: 99 }, LIMITS), null)
  assert.deepEqual(planRotation({ ...files, currentBytes: 100 }, LIMITS), {
    remove: [],
    compress: [],
    rotateTo: '0.log.20260102-030405',
  })
})

test('of files put aside three stay, compressed, and what a killed kubelet left half done goes', () => {
  const aside = ['0.log.1.gz', '0.log.2.gz', '0.log.3', '0.log.3.gz', '0.log.4', '0.log.5.tmp', '1.log.1']
  const plan = planRotation(
    { current: '0.log', currentBytes: 100, names: ['0.log', ...aside], nowMs },
    LIMITS,
  )
  assert.deepEqual(plan?.remove, ['0.log.5.tmp', '0.log.3', '0.log.1.gz'])
  assert.deepEqual(plan?.compress, ['0.log.4'])
})

test('five files of a log are kept, and what is written is never lost while files move', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'mk8s-rotate-'))
  const logPath = join(directory, '0.log')
  let now = nowMs
  const container = { id: 'c', state: 'running', logPath } as ContainerStatus
  const rotator = new LogRotator({
    runtime: { listContainers: async () => [container], reopenLog: async () => writeFile(logPath, '') },
    clock: { ...systemClock, now: () => now },
    log: createLog({ level: 'error', now: Date.now, write: () => {} }),
    limits: LIMITS,
  })
  for (let round = 0; round < 8; round++) {
    await appendFile(logPath, 'x'.repeat(100))
    now += 1_000
    await rotator.rotateAll()
  }
  const names = (await readdir(directory)).sort()
  assert.equal(names.length, 5, names.join())
  assert.equal(names.filter(name => name.endsWith('.gz')).length, 3)
  await rm(directory, { recursive: true })
})

test('images go from 85 per cent of the disk on, down to 80', () => {
  const full = (availableBytes: number) => bytesToFree({ capacityBytes: 1_000, availableBytes }, IMAGE_LIMITS)
  assert.equal(full(160), 0)
  assert.equal(full(150), 50)
  assert.equal(full(0), 200)
})

test('images in use, pinned ones and those that came a moment ago stay; the least recently used go first', () => {
  const image = (id: string, isPinned = false) => ({ id, names: [id], sizeBytes: 1, isPinned })
  const history = new Map([
    ['used', { firstSeenMs: 0, lastUsedMs: nowMs }],
    ['young', { firstSeenMs: nowMs - 1_000, lastUsedMs: 0 }],
    ['pinned', { firstSeenMs: 0, lastUsedMs: 0 }],
    ['once', { firstSeenMs: 0, lastUsedMs: 5 }],
    ['never', { firstSeenMs: 1, lastUsedMs: 0 }],
  ])
  const images = ['used', 'young', 'once', 'never'].map(id => image(id))
  const facts = { history, nowMs, leastAgeMs: 120_000, inUse: ({ id }: { id: string }) => id === 'used' }
  const removed = imagesToRemove([...images, image('pinned', true)], facts)
  assert.deepEqual(
    removed.map(({ id }) => id),
    ['never', 'once'],
  )
})

test('of images that nobody uses, those that can be removed go, and what pods mount stays', async () => {
  const names = ['localhost/stuck:1', 'localhost/spare:1', 'docker.io/library/mounted:latest']
  let images = names.map(name => ({ id: name, names: [name], sizeBytes: 1, isPinned: false }))
  const remove = async (id: string) => {
    if (id === names[0]) throw new Error('it cannot be removed')
    images = images.filter(image => image.id !== id)
  }
  const collector = new ImageCollector({
    runtime: {
      images: { list: async () => images, remove, directory: async () => '/' },
      listContainers: async () => [],
    },
    readDisk: async () => ({ capacityBytes: 100, availableBytes: 1 }),
    onEvent: () => {},
    mounted: () => ['mounted'],
    clock: systemClock,
    log: createLog({ level: 'error', now: Date.now, write: () => {} }),
  })
  assert.equal(await collector.removeUnused(), 1)
  assert.deepEqual(
    images.map(({ id }) => id),
    [names[0], names[2]],
  )
})
