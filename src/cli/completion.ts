/** Completion scripts for shells, out of what the commands say of themselves. Pure. */
import { unreachable } from '../base/assert.ts'

export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const
export type Shell = (typeof SHELLS)[number]

export interface CommandInfo {
  /** `backup schedule set`. */
  readonly words: string
  readonly summary: string
  readonly flags: readonly FlagInfo[]
}

export interface FlagInfo {
  readonly name: string
  readonly char: string
  readonly summary: string
  readonly takesValue: boolean
  readonly values: readonly string[]
}

/** For the man page. */
export interface CommandText extends CommandInfo {
  readonly description: string
}

export function renderCompletion(shell: Shell, commands: readonly CommandInfo[]): string {
  switch (shell) {
    case 'bash':
      return renderBash(commands)
    case 'zsh':
      return renderZsh(commands)
    case 'fish':
      return renderFish(commands)
    case 'powershell':
      return renderPowershell(commands)
    default:
      return unreachable(shell)
  }
}

interface Level {
  /** The words before. */
  readonly path: string
  readonly next: readonly { readonly word: string; readonly summary: string }[]
}

/** What may follow the words of a command or topic. */
function levelsOf(commands: readonly CommandInfo[]): readonly Level[] {
  const levels = new Map<string, Map<string, string>>()
  for (const { words, summary } of commands) {
    const parts = words.split(' ')
    for (const [at, word] of parts.entries()) {
      const path = parts.slice(0, at).join(' ')
      const next = levels.get(path) ?? new Map<string, string>()
      levels.set(path, next)
      if (at === parts.length - 1 || !next.has(word)) next.set(word, at === parts.length - 1 ? summary : '')
    }
  }
  return [...levels].map(([path, next]) => ({
    path,
    next: [...next].map(([word, summary]) => ({ word, summary })),
  }))
}

const flagWords = ({ name, char }: FlagInfo): string[] => [`--${name}`, ...(char === '' ? [] : [`-${char}`])]

const cases = (entries: readonly (readonly [string, string])[]): string =>
  entries.map(([path, words]) => `    '${path}') echo '${words}' ;;`).join('\n')

/** Functions that answer which words, flags and values there are; for bash and zsh. */
function renderTables(commands: readonly CommandInfo[]): string {
  const levels = levelsOf(commands).map(
    ({ path, next }) => [path, next.map(({ word }) => word).join(' ')] as const,
  )
  const flags = commands.map(({ words, flags }) => [words, flags.flatMap(flagWords).join(' ')] as const)
  const values = commands.flatMap(({ words, flags: all }) =>
    all
      .filter(flag => flag.takesValue)
      .flatMap(flag =>
        flagWords(flag).map(word => [`${words} ${word}`, flag.values.join(' ') || '-'] as const),
      ),
  )
  return [
    ['_mk8s_words', levels] as const,
    ['_mk8s_flags', flags] as const,
    ['_mk8s_values', values] as const,
  ]
    .map(([name, entries]) => `${name}() {\n  case $1 in\n${cases(entries)}\n  esac\n}\n`)
    .join('\n')
}

const renderBash = (commands: readonly CommandInfo[]): string => `# bash completion for mk8s
${renderTables(commands)}
_mk8s() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} path='' word at values
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ " $(_mk8s_words "$path") " == *" $word "* ]]; then path="\${path:+$path }$word"; fi
  done
  COMPREPLY=()
  values=$(_mk8s_values "$path $before")
  if [[ $values == - ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  elif [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(_mk8s_flags "$path")" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$(_mk8s_words "$path")" -- "$current"))
  fi
}
complete -o default -F _mk8s mk8s
`

const renderZsh = (commands: readonly CommandInfo[]): string => `#compdef mk8s
${renderTables(commands)}
_mk8s() {
  local current=\${words[CURRENT]} before=\${words[CURRENT-1]} at_path='' word values
  for word in \${words[2,CURRENT-1]}; do
    if [[ " $(_mk8s_words "$at_path") " == *" $word "* ]]; then at_path="\${at_path:+$at_path }$word"; fi
  done
  values=$(_mk8s_values "$at_path $before")
  if [[ $values == - ]]; then
    _files
  elif [[ -n $values ]]; then
    compadd -- \${=values}
  elif [[ $current == -* ]]; then
    compadd -- \${=$(_mk8s_flags "$at_path")}
  else
    compadd -- \${=$(_mk8s_words "$at_path")} || _files
  fi
}
compdef _mk8s mk8s
`

const quoteFish = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

function renderFish(commands: readonly CommandInfo[]): string {
  const levels = levelsOf(commands).flatMap(({ path, next }) =>
    next.map(
      ({ word, summary }) =>
        `complete -c mk8s -f -n "__mk8s_at ${quoteFish(path)}" -a ${word} -d ${quoteFish(summary)}`,
    ),
  )
  const flags = commands.flatMap(({ words, flags: all }) =>
    all.map(({ name, char, summary, takesValue, values }) =>
      [
        `complete -c mk8s -n "__mk8s_at ${quoteFish(words)}" -l ${name}`,
        ...(char === '' ? [] : [`-s ${char}`]),
        ...(takesValue ? ['-r'] : []),
        ...(values.length === 0 ? [] : [`-f -a ${quoteFish(values.join(' '))}`]),
        `-d ${quoteFish(summary)}`,
      ].join(' '),
    ),
  )
  return `# fish completion for mk8s
set -g __mk8s_paths ${commands.map(({ words }) => quoteFish(words)).join(' ')}
function __mk8s_at
  set -l path
  for word in (commandline -opc)[2..]
    set -l longer (string join ' ' $path $word)
    if string match -q -- "$longer" $__mk8s_paths; or string match -q -- "$longer *" $__mk8s_paths
      set path $longer
    end
  end
  test "$path" = "$argv[1]"
end
${[...levels, ...flags].join('\n')}
`
}

const quotePowershell = (text: string): string => `'${text.replaceAll("'", "''")}'`

function renderPowershell(commands: readonly CommandInfo[]): string {
  const entry = (path: string, words: readonly string[]) =>
    `    ${quotePowershell(path)} = @(${words.map(quotePowershell).join(', ')})`
  const levels = levelsOf(commands).map(({ path, next }) =>
    entry(
      path,
      next.map(({ word }) => word),
    ),
  )
  const flags = commands.map(({ words, flags: all }) => entry(words, all.flatMap(flagWords)))
  return `# PowerShell completion for mk8s
Register-ArgumentCompleter -Native -CommandName mk8s, mk8s.exe -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $next = @{
${levels.join('\n')}
  }
  $flags = @{
${flags.join('\n')}
  }
  $path = ''
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    if ($element.Extent.EndOffset -ge $cursorPosition) { break }
    $word = $element.ToString()
    if ($next[$path] -contains $word) { $path = ($path + ' ' + $word).Trim() }
  }
  $words = if ($wordToComplete.StartsWith('-')) { $flags[$path] } else { $next[$path] }
  $words | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`
}
