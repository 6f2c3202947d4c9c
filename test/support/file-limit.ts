/** Loaded before every test file by scripts/test.ts: a file that hangs ends with its name and what it waits for. */
import { isMainThread } from 'node:worker_threads'

const limitMs = Number(process.env.MK8S_TEST_FILE_TIMEOUT_MS)

function giveUp(): void {
  const waitsFor = process.getActiveResourcesInfo().join(', ')
  process.stderr.write(`${process.argv[1]} has not ended after ${limitMs} ms; there are: ${waitsFor}\n`)
  process.exit(1)
}

// The runner itself, and threads that a test starts, have no limit of their own.
if (isMainThread && process.env.NODE_TEST_CONTEXT !== undefined) setTimeout(giveUp, limitMs).unref()
