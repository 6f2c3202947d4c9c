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

/** One test alone may take this long: generous, because the machine may be busy. */
const TEST_TIMEOUT_MS = 600_000

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
    '--test',
    `--test-timeout=${TEST_TIMEOUT_MS}`,
    `--test-concurrency=${FILES_AT_A_TIME}`,
    ...reporters,
    ...files,
  ],
  {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE_COMPILE_CACHE: join(root, 'build/compile-cache') },
  },
)
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)))
