/** What the commands say of themselves, for completion and the man page. */
import type { CommandText, FlagInfo } from '../cli/completion.ts'
import { commands } from './index.ts'

interface RawFlag {
  readonly char?: string
  readonly type: string
  readonly summary?: string
  readonly description?: string
  readonly options?: readonly string[]
  readonly hidden?: boolean
}

/** Hidden ones are left out. */
export async function describeCommands(): Promise<readonly CommandText[]> {
  const found: CommandText[] = []
  for (const [id, load] of Object.entries(commands)) {
    const { hidden, summary = '', description = '', flags = {}, baseFlags = {} } = await load()
    if (hidden) continue
    const raw = { ...flags, ...baseFlags } as Record<string, RawFlag>
    found.push({ words: id.replaceAll(':', ' '), summary, description, flags: flagsOf(raw) })
  }
  return found
}

function flagsOf(flags: Readonly<Record<string, RawFlag>>): readonly FlagInfo[] {
  return Object.entries(flags)
    .filter(([, flag]) => !flag.hidden)
    .map(([name, { char = '', type, summary, description, options = [] }]) => ({
      ...{ name, char, summary: summary ?? description ?? '', takesValue: type !== 'boolean' },
      values: options,
    }))
}
