/**
 * Runs the tests, all of them or with `--fast` those that need no cluster, and ends with node:test's summary.
 * Further arguments are test files to run instead.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const fastLayers = ['tidy.test.ts', 'unit', 'golden', 'contract']
const allLayers = [...fastLayers, 'simulation', 'integration', 'conformance', 'cli', 'packaged']

const given = process.argv.slice(2).filter(argument => !argument.startsWith('--'))
const layers = process.argv.includes('--fast') ? fastLayers : allLayers

/** One test alone, or a group of them, may take this long: generous, because the machine may be busy. */
const TEST_TIMEOUT_MS = 300_000

/** And a file of them, with all that its tests leave behind: what hangs ends with its name, and the rest is run. */
const FILE_TIMEOUT_MS = 480_000

/** The same on every machine: clusters share its loopback addresses and its processors. */
const FILES_AT_A_TIME = 1

function filesOf(layer: string): string[] {
  if (layer.endsWith('.ts')) return globSync(`test/${layer}`, { cwd: root })
  return globSync(`test/${layer}/**/*.test.ts`, { cwd: root }).sort()
}

const files = given.length > 0 ? given : layers.flatMap(filesOf)
const reporters = process.env.CI === 'true' || !process.stdout.isTTY ? ['--test-reporter=spec'] : []
const child = spawn(
  process.execPath,
  [
    '--import=./test/support/file-limit.ts',
    '--test',
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    `--test-concurrency=${FILES_AT_A_TIME}`,
    ...reporters,
    ...files,
  ],
  {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: join(root, 'build/compile-cache'),
      MK8S_TEST_FILE_TIMEOUT_MS: String(FILE_TIMEOUT_MS),
    },
  },
)
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
