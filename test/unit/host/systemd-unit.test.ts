import assert from 'node:assert/strict'
import test from 'node:test'
import { unitText } from '../../../src/host/systemd-unit.ts'

test('paths with blanks, quotes and what systemd would expand stay what they are', () => {
  const text = unitText({ program: '/opt/my tools/mk8s', dataDir: '/srv/100%/$HOME/"q"' })
  assert.match(
    text,
    /^ExecStart="\/opt\/my tools\/mk8s" daemon --data-dir "\/srv\/100%%\/\$\$HOME\/\\"q\\""$/m,
  )
})

test('a restart of the daemon leaves the workloads alone', () => {
  assert.match(unitText({ program: '/p', dataDir: '/d' }), /^KillMode=process$/m)
})
