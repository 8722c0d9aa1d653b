<#
.SYNOPSIS
Has Windows run the agent from its start on, restart it when it ends by itself, and lets it drain when it is stopped.
.DESCRIPTION
A scheduled task of the Task Scheduler, since node.exe does not speak to the service manager. In a console of an administrator:
  .\install-service.ps1 -Config C:\flux-agent\agent.yaml
  Start-ScheduledTask flux-agent
  .\flux-agent.cmd stop --config C:\flux-agent\agent.yaml
  Unregister-ScheduledTask flux-agent
.PARAMETER Config
The agent's configuration. Relative paths in it are resolved against its folder.
.PARAMETER User
The account of the agent and of its functions. NT AUTHORITY\LocalService has few rights, and needs to be let into state_dir.
#>
param(
  [Parameter(Mandatory)] [string] $Config,
  [string] $User = 'NT AUTHORITY\LocalService'
)
$ErrorActionPreference = 'Stop'
$file = (Resolve-Path -LiteralPath $Config).Path
$node = Join-Path $PSScriptRoot 'node.exe'
$program = Join-Path $PSScriptRoot 'app\dist\src\cli\index.js'
$action = New-ScheduledTaskAction -Execute $node -Argument "`"$program`" start --config `"$file`"" -WorkingDirectory $PSScriptRoot
$trigger = New-ScheduledTaskTrigger -AtStartup
$principal = New-ScheduledTaskPrincipal -UserId $User -LogonType ServiceAccount
$settings = New-ScheduledTaskSettingsSet -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) `
  -ExecutionTimeLimit ([TimeSpan]::Zero) -MultipleInstances IgnoreNew -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
Register-ScheduledTask -TaskName 'flux-agent' -Action $action -Trigger $trigger -Principal $principal -Settings $settings -Force
