/** Completion scripts of the real commands: shells read them, and bash completes with them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { type CommandText, renderCompletion } from '../../../src/cli/completion.ts'
import { describeCommands } from '../../../src/commands/describe-commands.ts'

describe('completion', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-completion-'))
  const script = join(directory, 'mk8s.bash')
  let commands: readonly CommandText[] = []
  before(async () => {
    commands = await describeCommands()
    writeFileSync(script, renderCompletion('bash', commands))
  })
  after(() => rmSync(directory, { recursive: true }))

  /** What bash offers for the last of the words. */
  function offered(...words: string[]): string[] {
    const typed = words.map(word => `'${word}'`).join(' ')
    const text = `. ${script}; COMP_WORDS=(${typed}); COMP_CWORD=${words.length - 1}; _mk8s; echo "\${COMPREPLY[*]}"`
    return execFileSync('bash', ['-c', text], { encoding: 'utf8' }).trim().split(' ').sort()
  }

  test('bash completes commands, what follows them, flags and their values', () => {
    assert.deepEqual(offered('mk8s', 'inst'), ['install'])
    assert.deepEqual(offered('mk8s', 'addons', 'repo', 'l'), ['list'])
    assert.deepEqual(offered('mk8s', 'upgrade', '--rollb'), ['--rollback'])
    assert.deepEqual(offered('mk8s', '--json', 'backup', 'schedule', 's'), ['set'])
    assert.deepEqual(offered('mk8s', 'status', '--format', 'y'), ['yaml'])
  })

  test('hidden commands are offered to nobody', () => {
    for (const shell of ['bash', 'zsh', 'fish', 'powershell'] as const) {
      const text = renderCompletion(shell, commands)
      assert.match(text, /schedule/)
      assert.doesNotMatch(text, /run-job/)
    }
  })

  test('a quote in a summary ends no string', () => {
    const odd = { words: 'odd', summary: "the node's own", description: '', flags: [] }
    assert.match(renderCompletion('fish', [odd]), /-d 'the node\\'s own'/)
    assert.match(renderCompletion('powershell', [{ ...odd, words: "it's" }]), /@\('it''s'\)/)
  })
})
