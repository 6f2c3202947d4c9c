import assert from 'node:assert/strict'
import test from 'node:test'
import { taskText } from '../../../../src/host/windows/task.ts'

test('the task starts with the machine, has no limits of time, and is ASCII whatever the paths are', () => {
  const text = taskText({ program: 'C:\\Program Files\\mk8s & co\\mk8s.exe', dataDir: 'D:\\Däten\\' })
  assert.match(text, /<BootTrigger>/)
  assert.match(text, /<UserId>S-1-5-18<\/UserId>/)
  assert.match(text, /<ExecutionTimeLimit>PT0S</)
  assert.match(text, /<Command>C:\\Program Files\\mk8s &#38; co\\mk8s\.exe<\/Command>/)
  // A backslash in front of the closing quotation mark would take it away.
  assert.match(text, /--data-dir &#34;D:\\D&#228;ten\\\\&#34;<\/Arguments>/)
  assert.ok([...text].every(character => character <= '~'))
})
