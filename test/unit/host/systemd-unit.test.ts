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

test('only a daemon that fails before it serves is made to wait, and the shell gets its own words', () => {
  const text = unitText({ program: '/p', dataDir: '/d' })
  assert.match(
    text,
    /^ExecStopPost=-\/bin\/sh -c "\[ \\"\$\$SERVICE_RESULT\\" = success \] \|\| \[ -e \\"\$\$1\\" \] \|\| sleep 4; .*" sh "\/d\/run\/ready"$/m,
  )
  assert.match(text, /^RestartSec=1$/m)
  assert.doesNotMatch(text, /RestartSteps/)
})
