/** The scheduled task that runs the daemon on Windows. Pure. */

/**
 * As the system and from the start of the machine on, without the limits that tasks have by default (three days, only
 * on mains power), and started again when mk8s' own supervisor fails. All ASCII, whatever the paths are.
 */
export function taskText({ program, dataDir }: { program: string; dataDir: string }): string {
  return `<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>mk8s, a Kubernetes node</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Enabled>true</Enabled>
    </BootTrigger>
  </Triggers>
  <Principals>
    <Principal id="System">
      <UserId>S-1-5-18</UserId>
      <RunLevel>HighestAvailable</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="System">
    <Exec>
      <Command>${escaped(program)}</Command>
      <Arguments>${escaped(`daemon --supervise --data-dir ${quote(dataDir)}`)}</Arguments>
    </Exec>
  </Actions>
</Task>
`
}

/** As programs of Windows read their command line: backslashes count only in front of a quotation mark. */
const quote = (word: string): string => `"${word.replace(/(\\*)$/, '$1$1')}"`

const escaped = (text: string): string =>
  text.replaceAll(/[^\x20-\x7e]|[<>&"]/gu, character => `&#${character.codePointAt(0)};`)
