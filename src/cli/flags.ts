/** oclif's flags, and those that come out of the table of options. */
import * as Flags from '@oclif/core/flags'
import type { OptionFlag } from '@oclif/core/interfaces'
import type { OptionInfo } from '../config/option-info.ts'
import { options } from '../config/options.ts'

export { Flags }

/** One flag per option, of one kind or of both; the text is checked, with all others, by config/resolve.ts. */
export function optionFlags(kind?: OptionInfo['kind']): Record<string, OptionFlag<string | undefined>> {
  const wanted = options.filter(option => kind === undefined || option.kind === kind)
  const flags = wanted.map(option => {
    const preset = option.default || option.defaultMeaning
    const description = `${option.help} [default: ${preset}; ${option.env}]`
    const helpValue = option.type.toUpperCase()
    return [option.flag, Flags.string({ description, helpValue, helpGroup: 'CONFIGURATION' })] as const
  })
  return Object.fromEntries(flags)
}
