/**
 * Runs the tests, all of them or with `--fast` those that need no cluster, and ends with node:test's summary.
 * Further arguments are test files to run instead. `--executable` runs the tests of the command line, or those files,
 * with the packaged executable for linux-x64, which it makes when the sources are newer.
 */
import { globSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const root = join(import.meta.dirname, '..')
const fastLayers = ['tidy.test.ts', 'unit', 'golden', 'contract']
const allLayers = [...fastLayers, 'simulation', 'integration', 'conformance', 'cli', 'packaged']

const given = process.argv.slice(2).filter(argument => !argument.startsWith('--'))
const withExecutable = process.argv.includes('--executable')
const layers = process.argv.includes('--fast') ? fastLayers : withExecutable ? ['cli'] : allLayers

/** One test alone, or a group of them, may take this long: generous, because the machine may be busy. */
const TEST_TIMEOUT_MS = 600_000

/** And a file of them, with all that its tests leave behind: what hangs ends with its name, and the rest is run. */
const FILE_TIMEOUT_MS = 900_000

/** Files of these layers use processors and files of their own only; they run one at a time beside the others. */
const processorLayers = ['tidy.test.ts', 'unit', 'golden', 'simulation']

/**
 * How many of the other files run at a time, the same on every machine. They wait more than they compute, and each has
 * addresses, networks, directories and control groups of its own, made of its process id.
 */
const CLUSTER_FILES = 2

function filesOf(layer: string): string[] {
  if (layer.endsWith('.ts')) return globSync(`test/${layer}`, { cwd: root })
  return globSync(`test/${layer}/**/*.test.ts`, { cwd: root }).sort()
}

function needsProcessorOnly(file: string): boolean {
  return processorLayers.some(layer => file.startsWith(`test/${layer}`))
}

const files = given.length > 0 ? given : layers.flatMap(filesOf)
const lanes = [
  { files: files.filter(file => !needsProcessorOnly(file)), concurrency: CLUSTER_FILES },
  { files: files.filter(needsProcessorOnly), concurrency: 1 },
].filter(lane => lane.files.length > 0)

process.env.NODE_COMPILE_CACHE = join(root, 'build/compile-cache')
process.env.MK8S_TEST_FILE_TIMEOUT_MS = String(FILE_TIMEOUT_MS)
if (withExecutable) {
  const { madeExecutable } = await import('../test/support/executable.ts')
  process.env.MK8S_TEST_PROGRAM = await madeExecutable('linux-x64')
  // kubectl and helm, which the sources find in the checkout.
  process.env.PATH = `${process.env.PATH}:${join(root, 'build/bin')}`
}

const streams = lanes.map(lane =>
  run({
    cwd: root,
    files: lane.files.map(file => join(root, file)),
    concurrency: lane.concurrency,
    timeout: TEST_TIMEOUT_MS,
    execArgv: ['--import=./test/support/file-limit.ts'],
  }),
)

type TestEvent = {
  readonly type: string
  readonly data: {
    readonly nesting?: number
    readonly message?: string
    readonly file?: string
    readonly success?: boolean
    readonly duration_ms?: number
  }
}

/** So many files are named at the end as the slowest. */
const SLOWEST = 10

const totals = new Map<string, number>()
const durations = new Map<string, number>()
let end: TestEvent | undefined

/** What a lane ends with is kept for the end of all; everything else is passed on as it comes. */
function isEnd(event: TestEvent): boolean {
  if (event.type === 'test:fail') process.exitCode = 1
  if (event.type === 'test:summary') {
    if (event.data.success === false) process.exitCode = 1
    const { file, duration_ms: duration = 0 } = event.data
    if (file !== undefined) durations.set(relative(root, file), duration)
    else if (end?.data.success !== false) end = event
    return file === undefined
  }
  if (event.type !== 'test:diagnostic' || event.data.nesting !== 0) return false
  const [, name, value] =
    event.data.message?.match(
      /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) (\d+(?:\.\d+)?)$/,
    ) ?? []
  if (name === undefined) return false
  const sum = (totals.get(name) ?? 0) + Number(value)
  totals.set(name, name === 'duration_ms' ? performance.now() : sum)
  return true
}

const report = new spec()
report.pipe(process.stdout)

await Promise.all(
  streams.map(async stream => {
    for await (const event of stream as AsyncIterable<TestEvent>) if (!isEnd(event)) report.write(event)
  }),
)
const say = (message: string) => report.write({ type: 'test:diagnostic', data: { nesting: 0, message } })
const slowest = [...durations].toSorted(([, one], [, other]) => other - one).slice(0, SLOWEST)
for (const [file, duration] of slowest) say(`${(duration / 1_000).toFixed(1)} s in ${file}`)
for (const [name, value] of totals) say(`${name} ${value}`)
if (end !== undefined) report.write(end)
report.end()
