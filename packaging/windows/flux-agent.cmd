@"%~dp0node.exe" @NODE_OPTIONS@ "%~dp0app\dist\agent\cli\index.js" %*
