/** oclif's flags, and those that come out of the table of options. */
import * as Flags from '@oclif/core/flags'
import type { OptionFlag } from '@oclif/core/interfaces'
import { options } from '../config/options.ts'

export { Flags }

/** One flag per option; values stay text here and are checked, all of them together, by config/resolve.ts. */
export function optionFlags(): Record<string, OptionFlag<string | undefined>> {
  const flags = options.map(option => {
    const preset = option.default || option.defaultMeaning
    const description = `${option.help} [default: ${preset}; ${option.env}]`
    const helpValue = option.type.toUpperCase()
    return [option.flag, Flags.string({ description, helpValue, helpGroup: 'CONFIGURATION' })] as const
  })
  return Object.fromEntries(flags)
}
