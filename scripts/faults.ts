/**
 * Clusters of real processes under faults, for as long as asked: `node scripts/faults.ts --rounds 50`, with
 * `--only kill|freeze|cut|mixed|churn|damage` for a part of it and `--seed` for other random numbers. Every client's history
 * is checked; how long writing stopped after each blow to the leader is said at the end. Ends with 1 at a failure.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Random, seededRandom } from '../src/base/random.ts'
import { type HistoryFigures, StoreClients } from '../test/support/store-clients.ts'
import { StoreCluster } from '../test/support/store-cluster.ts'
import { filesOf, flipRandomBit, forgetBoot, tearNextFrame } from '../test/support/store-damage.ts'
import { acknowledged, describeTimes, failover, timesOf } from '../test/support/store-failover.ts'
import { MemberError, type StoreMember } from '../test/support/store-member.ts'
import { StoreNetwork, whyNoNetworks } from '../test/support/store-network.ts'

const PARTS = ['kill', 'freeze', 'cut', 'mixed', 'churn', 'damage'] as const
type Part = (typeof PARTS)[number]
/** A cluster lives for so many rounds: history is compacted after minutes, and the check wants all of it. */
const ROUNDS_PER_CLUSTER = 10
const FLIPS_PER_ROUND = 5

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    clients: { type: 'string', default: '5' },
  },
})
const rounds = Number(values.rounds)
const say = (text: string) => console.log(text)

interface Stage {
  readonly cluster: StoreCluster
  readonly network: StoreNetwork | null
  readonly clients: StoreClients
  readonly random: Random
}

type Round = (stage: Stage) => Promise<number>

async function inCluster(
  size: number,
  random: Random,
  isolated: boolean,
  act: (stage: Stage) => Promise<void>,
) {
  const network = isolated ? await StoreNetwork.create(size) : null
  try {
    const cluster = await StoreCluster.start({ size, ...(network && { places: network.places }) })
    try {
      const clients = new StoreClients({ cluster, random, clients: Number(values.clients) })
      await act({ cluster, network, clients, random })
      return await clients.check()
    } catch (error) {
      for (const member of cluster.members) say(`member ${member.id}:\n${member.log.slice(-20).join('\n')}`)
      throw error
    } finally {
      await cluster.close()
    }
  } finally {
    await network?.remove()
  }
}

/** Rounds of one kind, in clusters that live for some of them each. */
async function play(name: string, size: number, isolated: boolean, round: Round): Promise<void> {
  const random = seededRandom(Number(values.seed))
  const times: number[] = []
  const all: HistoryFigures[] = []
  for (let done = 0; done < rounds; done += ROUNDS_PER_CLUSTER) {
    const figures = await inCluster(size, random, isolated, async stage => {
      for (let n = done; n < Math.min(rounds, done + ROUNDS_PER_CLUSTER); n++) {
        times.push(await round(stage))
        await stage.clients.worked()
      }
    })
    all.push(figures)
  }
  const sum = (of: (figures: HistoryFigures) => number) => all.reduce((total, one) => total + of(one), 0)
  say(
    `${name}: until a write was acknowledged again, ${describeTimes(timesOf(times))}; ` +
      `${sum(one => one.operations)} operations, ${sum(one => one.acknowledged)} writes acknowledged, ` +
      `${sum(one => one.unknown)} unknown, ${sum(one => one.refused)} refused, ` +
      `${sum(one => one.watched)} events watched, ${sum(one => one.undecided)} histories undecided`,
  )
}

async function kill({ cluster }: Stage): Promise<number> {
  const { leader, milliseconds } = await failover(cluster, struck => struck.kill())
  await leader.start()
  await acknowledged(leader)
  return milliseconds
}

async function freeze({ cluster }: Stage): Promise<number> {
  const { leader, milliseconds } = await failover(cluster, struck => struck.freeze())
  leader.thaw()
  await acknowledged(leader)
  return milliseconds
}

async function cut({ cluster, network }: Stage): Promise<number> {
  const { leader, milliseconds } = await failover(cluster, ({ id }) => network?.isolate([id]))
  await network?.heal()
  await acknowledged(leader)
  return milliseconds
}

/** One or two members of five are struck in some way, and get well again in any order. */
async function mixed(stage: Stage): Promise<number> {
  const { cluster, random } = stage
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.float() * list.length)] as T
  const first = random.float() < 0.5 ? await cluster.leader() : pick(cluster.members)
  const second = pick(cluster.members.filter(member => member !== first))
  const struck = random.float() < 0.5 ? [first] : [first, second]
  const healthy = cluster.members.filter(member => !struck.includes(member))
  const before = performance.now()
  const cures = await Promise.all(struck.map(member => strike(stage, member)))
  await acknowledged(pick(healthy))
  const milliseconds = performance.now() - before
  await stage.clients.worked(10)
  for (const cure of random.float() < 0.5 ? cures : cures.reverse()) await cure()
  for (const member of cluster.members) await acknowledged(member)
  return milliseconds
}

/** Returns what makes it well again. */
async function strike(
  { network, random, cluster }: Stage,
  member: StoreMember,
): Promise<() => Promise<unknown>> {
  const { id } = member
  const others = cluster.members.map(other => other.id).filter(other => other !== id)
  const heal = async () => network?.heal()
  switch (Math.floor(random.float() * (network === null ? 3 : 7))) {
    case 0:
      await member.kill()
      return () => member.start()
    case 1:
      member.freeze()
      return async () => member.thaw()
    case 2:
      await member.kill()
      return async () => {
        tearNextFrame(member.options.directory)
        forgetBoot(member.options.directory)
        await member.start()
      }
    case 3:
      await network?.isolate([id])
      return heal
    case 4:
      await Promise.all(others.map(other => network?.cutOneWay(id, other)))
      return heal
    case 5:
      await Promise.all(others.map(other => network?.cutOneWay(other, id)))
      return heal
    default:
      await network?.lose(10)
      return heal
  }
}

/** Voters and learners change places while one member is struck; now and then one has lost everything it had. */
async function churn(stage: Stage): Promise<number> {
  const { cluster, random } = stage
  const ids = cluster.members.map(({ id }) => id).sort(() => random.float() - 0.5)
  const target = { voters: ids.slice(0, 3), learners: ids.slice(3) }
  const struck = cluster.member(ids[Math.floor(random.float() * ids.length)] ?? 1)
  if (random.float() < 0.3) await startAfresh(cluster, struck)
  const leader = await cluster.leader()
  const before = performance.now()
  // Only begun: the blow falls while the change is under way.
  leader.call('changeMembership', target).catch(() => {})
  const cure = await strike(stage, struck)
  await stage.clients.worked(10)
  await cure()
  await cluster.changeMembership(target)
  for (const member of cluster.members) await acknowledged(member)
  return performance.now() - before
}

/** Its data is gone, so it stops being a member before it is one again. */
async function startAfresh(cluster: StoreCluster, member: StoreMember): Promise<void> {
  const others = cluster.members.map(({ id }) => id).filter(id => id !== member.id)
  await member.kill()
  await cluster.changeMembership({ voters: others.slice(0, 3), learners: others.slice(3) })
  rmSync(member.options.directory, { recursive: true })
  const learners = [...others.slice(3), member.id]
  await cluster.changeMembership({ voters: others.slice(0, 3), learners })
  await member.start({ joins: true })
  await acknowledged(member)
}

/** Bits flip in the files of a member that was killed while it wrote: it must refuse them, or lose nothing. */
async function damage(): Promise<void> {
  const random = seededRandom(Number(values.seed))
  const counts = { refused: 0, unharmed: 0, 'without the last frame': 0, 'with a value changed': 0 }
  for (let round = 0; round < rounds; round++) {
    await inCluster(1, random, false, async ({ cluster, clients }) => {
      const member = cluster.member(1)
      await clients.worked(300)
      await member.kill()
      await clients.stop()
      const { directory } = member.options
      forgetBoot(directory)
      const intact = join(cluster.directory, 'intact')
      cpSync(directory, intact, { recursive: true })
      const expected = await stateOf(member)
      for (let flip = 0; flip < FLIPS_PER_ROUND; flip++) {
        await member.kill()
        rmSync(directory, { recursive: true })
        cpSync(intact, directory, { recursive: true })
        const where = flipRandomBit(filesOf(directory), random)
        const outcome = await outcomeOf(member, expected)
        if (outcome.startsWith('wrong')) throw new Error(`${where}: ${outcome}`)
        counts[outcome as keyof typeof counts]++
        if (outcome === 'with a value changed') say(`not noticed: ${where}`)
      }
      await member.kill()
      rmSync(directory, { recursive: true })
      cpSync(intact, directory, { recursive: true })
      await member.start()
    })
  }
  const said = Object.entries(counts).map(([what, count]) => `${count} ${what}`)
  say(`damage: ${rounds * FLIPS_PER_ROUND} flipped bits: ${said.join(', ')}`)
}

type State = ReadonlyMap<string, string>

async function stateOf(member: StoreMember): Promise<State> {
  if (!member.alive) await member.start()
  await member.call('barrier')
  const { entries } = await member.call('range', { start: '', end: '\uffff' })
  return new Map(entries.map(({ key, value, modRevision }) => [key, `${modRevision} ${value}`]))
}

async function outcomeOf(member: StoreMember, expected: State): Promise<string> {
  try {
    const found = await stateOf(member)
    const revision = (entry: string) => Number(entry.split(' ')[0])
    const newest = Math.max(...[...expected.values()].map(revision))
    const differing = [...expected].filter(([key, entry]) => found.get(key) !== entry)
    if (differing.length === 0) return 'unharmed'
    if (differing.every(([key, entry]) => revision(entry) === revision(found.get(key) ?? '')))
      return 'with a value changed'
    // A frame holds the writes of a moment: a handful of revisions at the very end.
    if (differing.every(([, entry]) => revision(entry) > newest - 10)) return 'without the last frame'
    return `wrong: ${differing.length} keys differ, such as ${differing[0]?.join(' ')}`
  } catch (error) {
    if (error instanceof MemberError && /^store\/(corrupt|version)$/.test(error.code)) return 'refused'
    return `wrong: ${error}`
  }
}

async function run(part: Part, isolated: boolean): Promise<void> {
  if (part === 'kill') await play('SIGKILL of the leader of three', 3, false, kill)
  else if (part === 'freeze') await play('SIGSTOP of the leader of three', 3, false, freeze)
  else if (part === 'cut' && isolated) await play('the leader of three cut off', 3, true, cut)
  else if (part === 'mixed') await play('one or two of five struck somehow', 5, isolated, mixed)
  else if (part === 'churn') await play('members of four that come and go', 4, isolated, churn)
  else if (part === 'damage') await damage()
}

const why = await whyNoNetworks()
if (why !== null) say(`without cut cables: ${why}`)
const only = PARTS.find(part => part === values.only)
for (const part of only === undefined ? PARTS : [only]) await run(part, why === null)
