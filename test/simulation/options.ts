/** What a world is like: drawn from its seed, so that every seed is another mix of faults (swarm testing). */
import { type SafetyRules, soundRules } from '../../src/runtime/raft/rules.ts'
import type { World } from './world.ts'

/** Known bugs that a test may plant to see that the simulation notices. */
export interface PlantedBugs {
  readonly rules?: Partial<SafetyRules>
  /** The disk says flushed, and has not. */
  readonly skipsFlush?: boolean
  /** Of what the world should be like, so that the bug has a chance to show. */
  readonly world?: Partial<SimulationOptions>
}

export interface SimulationOptions {
  readonly rules: SafetyRules
  readonly skipsFlush: boolean
  readonly voters: number
  readonly clients: number
  readonly keys: number
  readonly latency: number
  /** Comes on top: members far apart, so that timeouts have to grow. */
  readonly latencyFloor: number
  readonly latencySpread: number
  readonly loss: number
  readonly duplicates: number
  /** Messages of one link keep their order, as on a TCP connection. */
  readonly inOrder: boolean
  readonly flush: number
  readonly flushSpread: number
  readonly flushErrors: number
  readonly drift: number
  readonly segmentBytes: number
  readonly keptBytes: number
  readonly appendBytes: number
  readonly checkpointEvery: number
  /** How often each fault comes, in ms on average; 0 for never. */
  readonly crashEvery: number
  readonly powerCutShare: number
  readonly partitionEvery: number
  /** How often somebody looks whether to cut off a leader at the worst moment. */
  readonly spiteEvery: number
  readonly slowDiskEvery: number
  readonly pauseEvery: number
  /** All processes hang at once, as on a host that is out of processors. */
  readonly freezeEvery: number
  /** A disk takes a flush and does not answer for seconds. */
  readonly stallEvery: number
  readonly churnEvery: number
  readonly transferEvery: number
  readonly rotShare: number
  /** Of the snapshots that arrive, how many are stored late, and by then somebody else may lead. */
  readonly lateStores: number
  /** Of the members, how many keep much of their log, whatever the others keep. */
  readonly keepsMore: number
  /** How late at most. */
  readonly lateStoreMs: number
  readonly noticesClosedLinks: boolean
}

export function drawOptions(world: World, bugs: PlantedBugs): SimulationOptions {
  const between = (from: number, to: number) => world.between('options', from, to)
  const sometimes = (share: number, from: number, to: number) =>
    world.chance('options', share) ? between(from, to) : 0
  return {
    rules: { ...soundRules, ...bugs.rules },
    skipsFlush: bugs.skipsFlush ?? false,
    voters: world.pick('options', [1, 3, 3, 3, 5]) ?? 3,
    clients: Math.floor(between(2, 7)),
    keys: Math.floor(between(1, 5)),
    latency: between(0.1, 5),
    latencySpread: sometimes(0.7, 1, 60),
    loss: sometimes(0.5, 0.001, 0.2),
    duplicates: sometimes(0.4, 0.001, 0.1),
    inOrder: world.chance('options', 0.4),
    flush: between(0.1, 2),
    flushSpread: sometimes(0.6, 1, 30),
    flushErrors: sometimes(0.15, 0.0002, 0.002),
    drift: sometimes(0.5, 0.01, 0.2),
    segmentBytes: Math.floor(between(8, 40)) * 1024,
    keptBytes: Math.floor(sometimes(0.6, 500, 20_000)) || 1024 * 1024,
    appendBytes: Math.floor(sometimes(0.5, 1, 500)) || 1024 * 1024,
    checkpointEvery: between(100, 3000),
    crashEvery: sometimes(0.8, 400, 6000),
    powerCutShare: between(0.2, 1),
    partitionEvery: sometimes(0.7, 500, 6000),
    spiteEvery: sometimes(0.3, 10, 500),
    slowDiskEvery: sometimes(0.4, 1000, 8000),
    pauseEvery: sometimes(0.4, 800, 8000),
    churnEvery: sometimes(0.5, 1500, 8000),
    transferEvery: sometimes(0.4, 800, 6000),
    rotShare: sometimes(0.25, 0.05, 0.3),
    noticesClosedLinks: world.chance('options', 0.7),
    freezeEvery: sometimes(0.25, 1000, 8000),
    stallEvery: sometimes(0.3, 1500, 8000),
    latencyFloor: sometimes(0.15, 20, 120),
    lateStores: sometimes(0.5, 0.1, 1),
    keepsMore: sometimes(0.4, 0.2, 0.6),
    lateStoreMs: between(50, 4000),
    ...bugs.world,
  }
}
