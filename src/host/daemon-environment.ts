/** The environment of a daemon: it sees nothing of the shell that happened to start it. Pure. */
import type { System } from './system.ts'

type Environment = Readonly<Record<string, string | undefined>>

const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** What programs of Windows cannot do without. */
const OF_WINDOWS = [
  ...['SystemRoot', 'SystemDrive', 'windir', 'ComSpec', 'PATHEXT', 'OS', 'PROCESSOR_ARCHITECTURE'],
  ...['ProgramData', 'ProgramFiles', 'ProgramFiles(x86)', 'CommonProgramFiles', 'ALLUSERSPROFILE', 'PUBLIC'],
  ...['TEMP', 'TMP', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA', 'COMPUTERNAME', 'NUMBER_OF_PROCESSORS'],
]

export function daemonEnvironment(on: System, environment: Environment): Record<string, string> {
  const zone = environment['TZ']
  const common = zone === undefined ? {} : { TZ: zone }
  if (on === 'windows') {
    const kept = OF_WINDOWS.flatMap(name => {
      const value = environment[name]
      return value === undefined ? [] : [[name, value] as const]
    })
    return { PATH: environment['PATH'] ?? environment['Path'] ?? '', ...Object.fromEntries(kept), ...common }
  }
  const home = on === 'macos' ? '/var/root' : '/root'
  return { PATH: environment['PATH'] ?? PATH_DEFAULT, HOME: home, LANG: 'C.UTF-8', ...common }
}
