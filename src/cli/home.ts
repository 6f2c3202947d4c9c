/** Where the user is at home, on systems that know no users: libraries of the command line cannot do without. */
import { homedir, userInfo } from 'node:os'

/** Without an entry for the user, as in a system with nothing but a C library, `/` is home and `/bin/sh` the shell. */
export function settleHome(environment: NodeJS.ProcessEnv): void {
  try {
    homedir()
  } catch {
    environment['HOME'] = '/'
  }
  try {
    userInfo()
  } catch {
    environment['SHELL'] ??= '/bin/sh'
  }
}
