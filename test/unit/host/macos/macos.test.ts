/** The forms are those that macOS documents; nothing here ran on a Mac. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { plistText } from '../../../../src/host/macos/launchd-plist.ts'
import { parseMarked, parseStart } from '../../../../src/host/macos/ps.ts'

test('a process is told by its start, and a zombie does not run', () => {
  assert.equal(parseStart('Ss   Mon Nov 23 07:20:10 2026    \n'), 'Mon-Nov-23-07:20:10-2026')
  assert.equal(parseStart('S+   Mon Nov  2 07:20:10 2026\n'), 'Mon-Nov-2-07:20:10-2026')
  assert.equal(parseStart('Z    Mon Nov 23 07:20:10 2026\n'), undefined)
  assert.equal(parseStart(''), undefined)
})

test('processes are found by a whole entry of their environment', () => {
  const output = [
    '    1 /sbin/launchd',
    '  812 /bin/sh -c keeper PATH=/bin MK8S_CONTAINER_ID=ab12 HOME=/',
    '  813 sleep 100 MK8S_CONTAINER_ID=ab123',
    ' 4711 sleep 100 MK8S_CONTAINER_ID=ab12',
  ]
  assert.deepEqual(parseMarked(output.join('\n'), 'MK8S_CONTAINER_ID=ab12'), [812, 4711])
})

test('launchd starts the daemon again unless it ended well, and leaves its pods alone', () => {
  const dataDir = '/Users/a & b/mk8s'
  const text = plistText({ label: 'io.mk8s.mk8s', program: '/usr/local/bin/mk8s', dataDir, log: '/l' })
  assert.match(text, /<string>--data-dir<\/string>\s*<string>\/Users\/a &amp; b\/mk8s<\/string>/)
  assert.match(text, /<key>SuccessfulExit<\/key>\s*<false\/>/)
  assert.match(text, /<key>AbandonProcessGroup<\/key>\s*<true\/>/)
  assert.match(text, /<key>RunAtLoad<\/key>\s*<true\/>/)
})
